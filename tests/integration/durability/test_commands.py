"""The commands around durability, on a real Redis and real files."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from banking.admin.genesis import create_ledger, genesis_accounts
from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage
from banking.from_settings import open_blocks, open_ledger
from banking.ledger.ledger import Ledger
from config.settings import get_settings
from tests.support.ledgers import GENESIS_LAMPORTS, SOL, World
from tests.support.redis_servers import MakeRedis
from workers.cli.program import main

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]


class Shell:
    """Runs commands on one Redis and one data folder, without an instance."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, url: str, folder: Path) -> None:
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("TRUNKLINE_REDIS_URL", url)
        monkeypatch.setenv("TRUNKLINE_DATA_DIR", str(folder))
        self.use("main")
        faucet = Keypair()
        ledger, blocks = open_ledger(get_settings()), open_blocks(get_settings())
        create_ledger(ledger, blocks, genesis_accounts(faucet.pubkey(), GENESIS_LAMPORTS))
        self.folder = folder
        self.world = World(ledger, blocks, faucet, BankingStage(ledger, SvmExecutor()))

    def use(self, name: str) -> None:
        """Mean another ledger from now on."""
        self._monkeypatch.setenv("TRUNKLINE_LEDGER", name)
        get_settings.cache_clear()

    def __call__(self, *args: str) -> Result:
        return CliRunner().invoke(main, args)

    def json(self, *args: str, code: int = 0) -> Any:
        answer = self(*args, "--json")
        assert answer.exit_code == code, answer.output + repr(answer.exception)
        return json.loads(answer.stdout)


def test_an_archive_is_replayed_by_the_oracle(shell: Shell) -> None:
    said = shell("archive", "replay", "--check")
    assert said.exit_code == 0, said.output
    assert "agrees with the oracle: slots 0 to 1, 3 transactions executed" in said.stdout
    report = shell.json("archive", "replay", "--check", "--from", "1")
    assert (report["ok"], report["transactions"], report["divergences"]) == (True, 3, [])
    assert report["state"] == shell.json("archive", "replay")["state"]


def test_divergences_are_listed_and_end_with_an_error(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the workers took reserved keys for writable, which they once did."""
    monkeypatch.setattr("banking.execution.account_access.RESERVED", frozenset())
    world, clock = shell.world, Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
    transaction = world.transfer(world.faucet, clock, 1_000_000)
    world.stage.process([transaction])
    world.seal()
    said = shell("archive", "replay", "--check")
    assert said.exit_code == 1
    lines = said.stdout.splitlines()
    assert lines[0].startswith(f"slot 2 seq 5 {transaction.parsed.signatures[0]}: error: expected ")
    assert "does NOT agree with the oracle: slots 0 to 2, 4 transactions executed" in lines[-2]
    report = shell.json("archive", "replay", "--check", code=1)
    assert (report["ok"], report["count"]) == (False, len(report["divergences"]))
    (broken,) = [check for check in shell.json("audit", "--replay", code=1)["checks"] if not check["ok"]]
    assert broken["id"] == "I9"


def test_an_audit_asks_the_oracle_when_told_to(shell: Shell) -> None:
    checks = {check["id"]: check for check in shell.json("audit", "--replay")["checks"]}
    assert checks["I9"]["ok"]
    assert checks["I9"]["detail"].startswith("3 transactions executed again")
    assert "I9" not in {check["id"] for check in shell.json("audit")["checks"]}


def test_a_fault_in_the_archive_ends_the_replay_with_an_error(shell: Shell) -> None:
    path = shell.folder / "archive" / shell.world.blocks.name(1)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    said = shell("archive", "replay", "--check")
    assert said.exit_code == 1
    assert "the block of slot 1: its closing SHA-256 is wrong" in said.stderr


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, make_redis: MakeRedis, tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(monkeypatch, make_redis().url, tmp_path / "data")
    shell.world.fund(3)
    shell.world.seal()
    yield shell
    monkeypatch.undo()
    get_settings.cache_clear()


def test_blocks_and_checkpoints(shell: Shell) -> None:
    made = shell.json("checkpoint", "create", "--full")
    shell.world.fund(2)
    shell.world.seal()
    small = shell.json("checkpoint", "create")
    assert (made["kind"], small["kind"], small["base"]) == ("full", "incremental", made["id"])
    assert [row["id"] for row in shell.json("checkpoint", "list")] == [made["id"], small["id"]]
    assert shell.json("checkpoint", "show", made["id"])["facts"]["slot"] == made["slot"]
    assert [row["ok"] for row in shell.json("checkpoint", "verify", "--all")] == [True, True]
    block = shell.json("block", "show", str(small["slot"]))
    assert (block["slot"], len(block["transactions"])) == (2, 2)
    assert shell.json("block", "show", "0")["transactions"] == []
    missing = shell("block", "show", "999")
    assert (missing.exit_code, "its newest is 2" in missing.stderr) == (1, True)
    verified = shell.json("archive", "verify")
    assert (verified["ok"], verified["blocks"], verified["first_slot"], verified["last_slot"]) == (True, 3, 0, 2)


def test_restore_of_a_checkpoint(shell: Shell) -> None:
    made = shell.json("checkpoint", "create")
    shell.world.fund(2)
    shell.world.seal()
    before = shell.json("status")
    assert shell("checkpoint", "restore", made["id"], "--yes").exit_code == 0
    after = shell.json("status")
    assert (after["epoch"], after["processed"]) == (before["epoch"] + 1, before["processed"])
    assert shell("checkpoint", "restore", "000000000001-00000000-00000000", "--yes").exit_code == 1
    assert shell.json("status")["epoch"] == after["epoch"]
    assert shell("audit").exit_code == 0


def test_damage_is_named(shell: Shell) -> None:
    made = shell.json("checkpoint", "create")
    chunk = next(iter((shell.folder / "archive" / "ledgers" / "main" / "checkpoints" / made["id"]).glob("*.zst")))
    chunk.write_bytes(chunk.read_bytes()[:-1])
    assert made["id"] in shell.json("archive", "verify", code=1)["problems"][0]
    assert not shell.json("checkpoint", "verify", made["id"], code=1)[0]["ok"]
    assert shell("checkpoint", "restore", made["id"], "--yes").exit_code == 1
    assert shell.json("status")["epoch"] == 1
    assert shell("audit").exit_code == 1
    assert shell("checkpoint", "verify", "--all", "--set-aside").exit_code == 1
    assert shell("archive", "verify").exit_code == 0
    assert shell("audit").exit_code == 0
    for slot in (0, 1):
        path = shell.folder / "archive" / shell.world.blocks.name(slot)
        path.write_bytes(path.read_bytes()[:-1])
    problems = shell.json("archive", "verify", code=1)["problems"]
    assert [f"slot {slot}" in problem for slot, problem in enumerate(problems)] == [True, True]


def test_progress_of_a_restore_in_status(shell: Shell) -> None:
    ledger = Ledger(shell.world.ledger.client, "main")
    ledger.client.hset(ledger.keys.meta, "epoch", "restoring")
    facts = {"phase": "accounts", "done": "250", "total": "1000", "seconds_left": "7.5"}
    assert shell.json("status") == {"ledger": "main", "restoring": True, "phase": None, "done": 0, "total": 0} | {
        "seconds_left": None
    }
    ledger.client.hset(ledger.keys.progress, mapping=facts)  # type: ignore[arg-type]
    told = shell.json("status")
    assert (told["phase"], told["done"], told["total"], told["seconds_left"]) == ("accounts", 250, 1000, 7.5)
    assert "250 of 1,000 accounts" in shell("status").stdout


def test_fork(shell: Shell, caplog: pytest.LogCaptureFixture) -> None:
    first = shell.world.balance(shell.world.faucet.pubkey())
    shell.json("checkpoint", "create")
    shell.world.fund(2)
    shell.world.seal()
    with caplog.at_level(logging.INFO):
        forked = shell.json("ledger", "fork", "main", "What-If")
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []
    shell.json("ledger", "fork", "main", "earlier", "--at", "1")
    assert shell("ledger", "fork", "main", "What-If").exit_code == 1
    assert shell("ledger", "fork", "main", "later", "--at", "99").exit_code == 1
    rows = {row["name"]: row for row in shell.json("ledger", "list")}
    assert {name: row["state"] for name, row in rows.items()} == dict.fromkeys(("main", "What-If", "earlier"), "served")
    assert rows["What-If"]["ledger_id"] == forked["ledger_id"] != rows["main"]["ledger_id"]
    key = shell.world.faucet.pubkey()
    newest = shell.world.balance(key)
    client = shell.world.ledger.client
    for name, lamports in (("What-If", newest), ("earlier", first)):
        shell.use(name)
        assert shell("audit").exit_code == 0
        ledger = Ledger(client, name)
        world = World(ledger, open_blocks(get_settings()), shell.world.faucet, BankingStage(ledger, SvmExecutor()))
        assert world.balance(key) == lamports
        world.fund(1, SOL)
        world.seal()
        assert shell("audit").exit_code == 0
    # The one it came from does not know, and its transactions cannot run there.
    assert shell.world.balance(key) == newest
    shell.use("main")
    assert shell("audit").exit_code == 0


def test_export_import_and_drop(shell: Shell, tmp_path: Path) -> None:
    shell.json("checkpoint", "create")
    file = tmp_path / "main.tar"
    objects = shell.json("ledger", "export", "main", str(file))["objects"]
    exported = file.read_bytes()
    again = shell("ledger", "export", "main", str(file))
    assert (again.exit_code, "nothing was written" in again.stderr) == (1, True)
    assert file.read_bytes() == exported
    assert shell("ledger", "export", "nobody", str(tmp_path / "none.tar")).exit_code == 1
    assert not (tmp_path / "none.tar").exists()
    assert "There is a ledger named 'main'" in shell("ledger", "import", str(file), "main").stderr
    assert shell.json("ledger", "import", str(file), "copy")["objects"] == objects
    faucet = str(shell.world.faucet.pubkey())
    lamports = shell("balance", faucet).stdout
    assert lamports != "0 lamports\n"
    shell.use("copy")
    assert shell("audit").exit_code == 0
    assert shell("balance", faucet).stdout == lamports
    assert shell.json("ledger", "drop", "copy", "--yes")["objects"] == 0
    assert {row["name"]: row["state"] for row in shell.json("ledger", "list")}["copy"] == "not in Redis"
    assert shell.json("ledger", "drop", "copy", "--archive", "--yes")["objects"] >= objects
    assert [row["name"] for row in shell.json("ledger", "list")] == ["main"]
    assert shell("ledger", "drop", "main").exit_code != 0  # nobody said yes


@pytest.mark.parametrize("at", [0.3, 0.6, 0.9])
def test_damaged_export_is_not_taken_in(shell: Shell, tmp_path: Path, at: float) -> None:
    shell.json("checkpoint", "create")
    file = tmp_path / "main.tar"
    shell.json("ledger", "export", "main", str(file))
    data = bytearray(file.read_bytes())
    data[int(len(data) * at)] ^= 0x10
    file.write_bytes(data)
    answer = shell("ledger", "import", str(file), "copy")
    assert answer.exit_code == 1
    assert [row["name"] for row in shell.json("ledger", "list")] == ["main"]
