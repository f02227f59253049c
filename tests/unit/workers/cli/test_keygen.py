"""`keygen`: a keypair file that the Solana tools and our own commands read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from solders.keypair import Keypair

from tests.support.cli.shell import Shell, run


def test_the_file_holds_the_key_that_was_printed_and_nobody_else_may_read_it(plain: Path, tmp_path: Path) -> None:
    file = tmp_path / "me.json"
    result = run("keygen", "--outfile", str(file))
    assert result.exit_code == 0, result.stderr
    numbers = json.loads(file.read_text())
    assert len(numbers) == 64
    assert result.stdout == f"{Keypair.from_bytes(bytes(numbers)).pubkey()}\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert str(file) in result.stderr
    # Standard error may end in a log: no part of the secret is in it.
    assert str(numbers[0:4])[1:-1] not in result.output


def test_without_a_name_it_is_keypair_json_here(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("keygen").exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["keypair.json"]


def test_a_file_that_is_there_stays_unless_forced(plain: Path, tmp_path: Path) -> None:
    file = tmp_path / "me.json"
    first = run("keygen", "--outfile", str(file))
    before = file.read_text()
    refused = run("keygen", "--outfile", str(file))
    assert refused.exit_code == 1
    assert str(file) in refused.stderr
    assert "--force" in refused.stderr
    assert file.read_text() == before

    file.chmod(0o644)
    forced = run("keygen", "--outfile", str(file), "--force")
    assert forced.exit_code == 0, forced.stderr
    assert forced.stdout != first.stdout
    assert str(Keypair.from_json(file.read_text()).pubkey()) == forced.stdout.strip()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["me.json"]


def test_two_keys_are_two_keys(plain: Path, tmp_path: Path) -> None:
    printed = {run("keygen", "--outfile", str(tmp_path / name)).stdout for name in ("a.json", "b.json")}
    assert len(printed) == 2


def test_a_folder_that_is_not_there_is_named(plain: Path, tmp_path: Path) -> None:
    result = run("keygen", "--outfile", str(tmp_path / "no" / "me.json"))
    assert result.exit_code == 1
    assert f"{tmp_path / 'no' / 'me.json'} cannot be written: No such file or directory" in result.stderr


def test_what_keygen_makes_can_pay(shell: Shell, tmp_path: Path) -> None:
    """The way of a new user: a key, lamports for it, a transfer signed with it."""
    file, target = str(tmp_path / "me.json"), str(Keypair().pubkey())
    me = shell("keygen", "--outfile", file).stdout.strip()
    assert shell("airdrop", me, "2SOL").exit_code == 0
    paid = shell("transfer", "--from", file, "--to", target, "--amount", "0.5 SOL")
    assert paid.exit_code == 0, paid.stderr
    assert shell("balance", target).stdout == "500000000 lamports\n"
    assert shell("balance", me, "--sol").stdout == "1.499995 SOL\n"
