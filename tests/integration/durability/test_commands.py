"""The commands around durability, and a whole instance that is killed and comes back as it was."""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.program import Answer, Instance, descendants
from tests.integration.waiting import gone, wait_until

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    running = Instance(tmp_path_factory.mktemp("durable") / "data")
    running.start("--workers", "1", "--no-flower")
    yield running
    running.end()


def ok(answer: Answer) -> Any:
    assert answer.code == 0, answer.out + answer.err
    return json.loads(answer.out)


def load(instance: Instance, count: int) -> None:
    answer = instance("load", "--count", str(count))
    assert answer.code == 0, answer.out + answer.err


def wait_final(instance: Instance) -> dict[str, Any]:
    """The status once all that has an outcome is in the archive."""
    status: dict[str, Any] = instance.json("status")
    slot = status["slot"]
    wait_until(lambda: instance.json("status")["slot"] > slot + 1, "the next blocks are sealed")
    return status


def test_killed_and_started_again_goes_on_where_it_was(instance: Instance) -> None:
    """SIGKILL to everything: slot, blockhashes, statuses and counts continue."""
    load(instance, 100)
    wire = instance.signed(instance.faucet(), 10**9)
    before = wait_final(instance)
    assert instance.process is not None
    family = descendants(instance.process.pid)
    instance.process.send_signal(signal.SIGKILL)
    instance.process.communicate(timeout=60)
    wait_until(lambda: all(gone(pid) for pid in family), "the processes of `up` end")
    instance.start("--workers", "1", "--no-flower")
    after = instance.json("status")
    assert (after["ledger_id"], after["epoch"]) == (before["ledger_id"], before["epoch"])
    assert after["slot"] >= before["slot"]
    assert (after["accepted"], after["processed"], after["failed"]) == (
        before["accepted"],
        before["processed"],
        before["failed"],
    )
    # A transaction that was signed before the kill has a blockhash that is still good, once.
    line = instance.folder / "line"
    line.write_text(base64.b64encode(bytes(wire)).decode() + "\n")
    assert instance("submit", str(line), "--wait").code == 0
    again = instance("submit", str(line), "--wait")
    assert "duplicate" in (again.out + again.err).lower()
    assert instance("audit").code == 0


def test_blocks_and_checkpoints(instance: Instance) -> None:
    load(instance, 50)
    wait_final(instance)
    made = ok(instance("checkpoint", "create", "--full", "--json"))
    listed = ok(instance("checkpoint", "list", "--json"))
    assert made["id"] in [row["id"] for row in listed]
    assert ok(instance("checkpoint", "show", made["id"], "--json"))["facts"]["slot"] == made["slot"]
    assert all(row["ok"] for row in ok(instance("checkpoint", "verify", "--all", "--json")))
    block = ok(instance("block", "show", str(made["slot"]), "--json"))
    assert block["slot"] == made["slot"]
    assert ok(instance("block", "show", "0", "--json"))["transactions"] == []
    assert instance("block", "show", "999999999").code == 1
    verified = ok(instance("archive", "verify", "--json"))
    assert verified["ok"]
    assert verified["first_slot"] == 0
    before = instance.json("status")
    answer = instance("checkpoint", "restore", made["id"], "--yes")
    assert answer.code == 0, answer.err
    after = instance.json("status")
    assert after["epoch"] == before["epoch"] + 1
    assert after["processed"] == before["processed"]
    assert instance("status", "--wait", "30").code == 0
    load(instance, 20)
    assert instance("audit").code == 0


def test_damage_is_named(instance: Instance) -> None:
    made = ok(instance("checkpoint", "create", "--full", "--json"))
    folder = instance.folder / "archive" / "ledgers" / "main" / "checkpoints" / made["id"]
    chunk = next(path for path in sorted(folder.iterdir()) if path.suffix == ".zst")
    chunk.write_bytes(chunk.read_bytes()[:-1])
    bad = instance("archive", "verify", "--json")
    assert bad.code == 1
    assert made["id"] in json.loads(bad.out)["problems"][0]
    assert instance("checkpoint", "verify", made["id"]).code == 1
    assert instance("audit").code == 1
    assert instance("checkpoint", "verify", "--all", "--set-aside").code == 1
    assert instance("archive", "verify").code == 0
    assert instance("audit").code == 0


def test_fork_export_import_and_drop(instance: Instance, tmp_path: Path) -> None:
    load(instance, 20)
    status = wait_final(instance)
    forked = ok(instance("ledger", "fork", "main", "What-If", "--json"))
    assert forked["ledger_id"] != status["ledger_id"]
    rows = {row["name"]: row for row in ok(instance("ledger", "list", "--json"))}
    assert (rows["main"]["state"], rows["What-If"]["state"]) == ("served", "served")
    fork = Instance(instance.folder, {"TRUNKLINE_LEDGER": "What-If"})
    assert fork("audit").code == 0
    faucet = str(instance.faucet().pubkey())
    assert fork("balance", faucet).out == instance("balance", faucet).out
    assert instance("ledger", "fork", "main", "What-If").code == 1
    file = tmp_path / "main.tar"
    assert ok(instance("ledger", "export", "What-If", str(file), "--json"))["objects"] > 1
    assert instance("ledger", "export", "What-If", str(file)).code == 1
    ok(instance("ledger", "import", str(file), "copy", "--json"))
    copy = Instance(instance.folder, {"TRUNKLINE_LEDGER": "copy"})
    assert copy("audit").code == 0
    assert instance("ledger", "drop", "main", "--yes").code == 1  # it has workers
    for name in ("copy", "What-If"):
        assert ok(instance("ledger", "drop", name, "--archive", "--yes", "--json"))["objects"] > 1
    assert [row["name"] for row in ok(instance("ledger", "list", "--json"))] == ["main"]
