"""What a sandbox can do from the command line; each test shows what it did to the ledger."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from banking.execution.executor import SvmExecutor
from banking.execution.profile import Invocation, invocations
from banking.execution.sandbox_program import SANDBOX_PROGRAM
from banking.execution.stage import BankingStage
from banking.keypairs import read_keypair
from banking.ledger.ledger import Ledger
from banking.ledger.records import Outcome
from banking.transaction import SignedTransaction, verify
from config.settings import get_settings, override_environment
from tasks.submission import Submitter
from tests.support.cli.shell import Shell
from tests.support.ledgers import SOL, sign, transfer_transaction
from tests.support.programs import MEMO, elf


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test overrides in the environment ends with the test."""
    for name in ("TRUNKLINE_LEDGER", "TRUNKLINE_PROFILE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    yield
    get_settings.cache_clear()


@pytest.fixture
def faucet(shell: Shell) -> Keypair:
    return read_keypair(shell.folder / "faucet.json")


def process(ledger: Ledger, transaction: SignedTransaction) -> Outcome:
    BankingStage(ledger, SvmExecutor()).process([transaction])
    (outcome,) = ledger.outcomes([transaction.signature])
    assert outcome is not None
    return outcome


def payment(shell: Shell, faucet: Keypair, target: Pubkey) -> SignedTransaction:
    return verify(bytes(transfer_transaction(faucet, target, SOL, Hash(shell.ledger.state().blockhash))))


def pay(shell: Shell, faucet: Keypair, target: Pubkey) -> None:
    assert process(shell.ledger, payment(shell, faucet, target)).ok


def test_a_program_loaded_at_init_runs(shell: Shell, faucet: Keypair, tmp_path: Path) -> None:
    address, file = Pubkey.new_unique(), tmp_path / "greeting.so"
    file.write_bytes(elf(b"Hello from"))
    override_environment(ledger="other")
    made = shell("init", "--bpf-program", str(address), str(file))
    assert made.exit_code == 0, made.stderr
    ledger = Ledger(shell.client, "other")
    called = Instruction(address, b"hi", [AccountMeta(faucet.pubkey(), True, False)])
    message = Message.new_with_blockhash([called], faucet.pubkey(), Hash(ledger.state().blockhash))
    transaction = verify(bytes(VersionedTransaction(message, [faucet])))
    outcome = process(ledger, transaction)
    assert outcome.err is None
    assert any("Hello from" in line for line in outcome.logs)


def test_a_file_that_is_no_program_makes_no_ledger(shell: Shell, tmp_path: Path) -> None:
    override_environment(ledger="other")
    for content in (b"text", b"\x7fELF and nothing more"):
        (tmp_path / "bad.so").write_bytes(content)
        result = shell("init", "--bpf-program", str(Pubkey.new_unique()), str(tmp_path / "bad.so"))
        assert result.exit_code == 1
        assert "bad.so is no program" in result.stderr
    assert not Ledger(shell.client, "other").exists()


def test_no_program_is_loaded_in_production(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "good.so").write_bytes(elf())
    override_environment(ledger="other", profile="prod")
    result = shell("init", "--bpf-program", str(Pubkey.new_unique()), str(tmp_path / "good.so"))
    assert result.exit_code == 1
    assert "profile is prod" in result.stderr
    assert not Ledger(shell.client, "other").exists()


def test_a_dumped_account_goes_into_another_ledger(shell: Shell, faucet: Keypair, tmp_path: Path) -> None:
    target, folder = str(Keypair().pubkey()), tmp_path / "accounts"
    folder.mkdir()
    pay(shell, faucet, Pubkey.from_string(target))
    dumped = shell("account", "dump", target, str(folder / "one.json"))
    assert dumped.exit_code == 0, dumped.stderr
    assert json.loads((folder / "one.json").read_text()) == shell.json("account", "show", target)
    assert "1 SOL (1000000000 lamports)" in shell("account", "show", target).stdout
    override_environment(ledger="other")
    assert shell("init", "--account-dir", str(folder)).exit_code == 0
    assert shell("balance", target).stdout == f"{SOL} lamports\n"


def test_an_account_that_is_not_there_is_neither_shown_nor_dumped(shell: Shell, tmp_path: Path) -> None:
    nobody = str(Keypair().pubkey())
    assert "There is no account" in shell("account", "show", nobody).stderr
    assert shell("account", "dump", nobody, str(tmp_path / "x.json")).exit_code == 1
    assert not (tmp_path / "x.json").exists()


@pytest.fixture
def worker(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """What intake takes is processed at once, as a worker would."""
    monkeypatch.setattr(
        Submitter, "_enqueue", lambda _, some, __: BankingStage(shell.ledger, SvmExecutor()).process(list(some))
    )


@pytest.mark.usefixtures("worker")
def test_an_account_set_by_hand_is_what_archive_and_oracle_know(shell: Shell, faucet: Keypair, tmp_path: Path) -> None:
    target, owner = str(Keypair().pubkey()), str(Pubkey.new_unique())
    words = ("--owner", owner, "--data-base64", base64.b64encode(b"by hand").decode())
    done = shell("account", "set", target, *words)
    assert done.exit_code == 0, done.stderr
    found = shell.json("account", "show", target)["account"]
    assert base64.b64decode(found["data"][0]) == b"by hand"
    # What exempts seven bytes from rent; and it comes from the faucet.
    assert (found["owner"], found["lamports"], found["executable"]) == (owner, 939_600, False)
    # Large, and only what is named changes.
    (tmp_path / "content").write_bytes(bytes(range(256)) * 10)
    assert (
        shell("account", "set", target, "--data-file", str(tmp_path / "content"), "--lamports", "2SOL").exit_code == 0
    )
    found = shell.json("account", "show", target)["account"]
    assert (found["owner"], found["lamports"], found["space"]) == (owner, 2 * SOL, 2_560)
    # As it was dumped, into another place.
    shell("account", "dump", target, str(tmp_path / "dumped.json"))
    other = str(Keypair().pubkey())
    assert shell("account", "set", other, "--file", str(tmp_path / "dumped.json")).exit_code == 0
    assert shell.json("account", "show", other)["account"] == found
    pay(shell, faucet, Pubkey.from_string(other))
    assert "is gone in slot" in shell("account", "set", target, "--remove").stdout
    assert "There is no account" in shell("account", "show", target).stderr
    assert shell("slot", "warp", "1", "--by").exit_code == 0
    audited = shell("audit", "--replay")
    assert audited.exit_code == 0, audited.stdout


@pytest.mark.usefixtures("worker")
def test_what_cannot_be_set_says_why(shell: Shell, faucet: Keypair, tmp_path: Path) -> None:
    target = str(Keypair().pubkey())
    assert "InvalidArgument" in shell("account", "set", str(faucet.pubkey()), "--lamports", "1SOL").stderr
    assert "InsufficientFunds" in shell("account", "set", target, "--lamports", "9000000000SOL").stderr
    (tmp_path / "large").write_bytes(bytes(300_000))
    assert "too many to set by hand" in shell("account", "set", target, "--data-file", str(tmp_path / "large")).stderr
    assert shell("account", "set", target, "--data-base64", "no base64!").exit_code == 2
    assert shell("account", "set", target, "--remove", "--lamports", "1SOL").exit_code == 2
    assert shell.ledger.account(bytes(Pubkey.from_string(target))) == b""


def test_a_ledger_made_in_production_lets_nobody_set_accounts(shell: Shell) -> None:
    override_environment(ledger="other", profile="prod")
    assert shell("init").exit_code == 0
    assert not Ledger(shell.client, "other").account(bytes(SANDBOX_PROGRAM))
    override_environment(ledger="other", profile="dev")
    refused = shell("account", "set", str(Pubkey.new_unique()), "--lamports", "1SOL")
    assert "its genesis does not allow it" in refused.stderr


def test_production_has_no_sandbox(shell: Shell, tmp_path: Path) -> None:
    key, file = str(Pubkey.new_unique()), str(tmp_path / "account.json")
    assert shell("account", "dump", str(SANDBOX_PROGRAM), file).exit_code == 0
    override_environment(profile="prod")
    for words in (
        ("account", "set", key, "--lamports", "1SOL"),
        ("account", "show", key),
        ("account", "dump", key, str(tmp_path / "other.json")),
        ("init", "--account-dir", str(tmp_path)),
        ("init", "--clone", key, "--url", "http://127.0.0.1:1"),
        ("ledger", "fork", "main", "what-if"),
    ):
        refused = shell(*words)
        assert refused.exit_code == 1, words
        assert "The profile is prod" in refused.stderr, words


def test_a_warp_expires_blockhashes_and_leaves_a_sound_chain(shell: Shell, faucet: Keypair) -> None:
    late = payment(shell, faucet, Pubkey.new_unique())
    before = shell.ledger.state().slot
    result = shell("slot", "warp", "151", "--by")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"From slot {before} to slot {before + 151} in ")
    assert shell.ledger.state().slot == before + 151
    pay(shell, faucet, Pubkey.new_unique())
    assert process(shell.ledger, late).err == '"BlockhashNotFound"'
    assert shell("slot", "warp", "1", "--by").exit_code == 0
    audited = shell("audit", "--replay")
    assert audited.exit_code == 0, audited.stdout
    assert shell.json("block", "show", str(before + 100))["transactions"] == []


def test_time_travels_forwards_only_and_not_in_production(shell: Shell) -> None:
    assert shell("slot", "warp", "10").exit_code == 0
    assert "forwards only" in shell("slot", "warp", "5").stderr
    assert "too many" in shell("slot", "warp", "900000000").stderr
    override_environment(profile="prod")
    assert "profile is prod" in shell("slot", "warp", "20").stderr
    assert "profile is prod" in shell("init", "--warp-slot", "20").stderr
    assert shell.ledger.state().slot == 10


def test_init_begins_at_a_later_slot_once(shell: Shell) -> None:
    override_environment(ledger="other")
    for said in ("Slot 40 is open, after", "Slot 40 is open: no need"):
        result = shell("init", "--warp-slot", "40")
        assert result.exit_code == 0, result.stderr
        assert said in result.stdout
    assert Ledger(shell.client, "other").state().slot == 40


def test_a_profile_tells_the_units_of_each_instruction(shell: Shell, faucet: Keypair) -> None:
    def memo(text: bytes) -> Instruction:
        return Instruction(MEMO, text, [AccountMeta(faucet.pubkey(), True, False)])

    def profile(*instructions: Instruction) -> Any:
        signed = sign(instructions, [faucet], Hash(shell.ledger.state().blockhash))
        return shell.json("profile", base64.b64encode(bytes(signed)).decode())

    paid = transfer(TransferParams(from_pubkey=faucet.pubkey(), to_pubkey=Pubkey.new_unique(), lamports=SOL))
    alone = profile(memo(b"short"))
    found = profile(memo(b"short"), paid, memo(b"long " * 60))
    short, builtin, long = found["invocations"]
    assert short == alone["invocations"][0] == {"program": str(MEMO), "depth": 1, "units": alone["units"]}
    assert builtin == {"program": str(Pubkey.default()), "depth": 1, "units": None}
    assert long["units"] > short["units"] > 0
    assert found["builtin_units"] == 150
    assert found["units"] == short["units"] + 150 + long["units"]
    assert shell.ledger.state().processed == 0


def test_a_call_inside_an_instruction_has_its_own_line() -> None:
    outer, inner = "A" * 44, "B" * 44
    logs = [
        f"Program {outer} invoke [1]",
        f"Program log: Program {outer} consumed 1 of 2 compute units",
        f"Program {inner} invoke [2]",
        f"Program {inner} consumed 30 of 900 compute units",
        f"Program {inner} success",
        f"Program {outer} consumed 100 of 1000 compute units",
        f"Program {outer} failed: custom program error: 0x1",
    ]
    assert invocations(logs) == [Invocation(outer, 1, 100), Invocation(inner, 2, 30)]


def test_no_profile_in_production_and_code_1_when_it_would_fail(shell: Shell) -> None:
    poor = Keypair()
    poor_text = base64.b64encode(payment(shell, poor, Pubkey.new_unique()).raw).decode()
    failed = shell("profile", poor_text)
    assert failed.exit_code == 1
    assert "AccountNotFound" in failed.stderr
    override_environment(profile="prod")
    assert "profile is prod" in shell("profile", poor_text).stderr
