"""An instance that is killed as a whole comes back as it was."""

from __future__ import annotations

import base64
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli.program import Instance, descendants
from tests.support.waiting import gone, wait_until

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]


def wait_final(instance: Instance) -> dict[str, Any]:
    """The status once all that has an outcome is in the archive."""
    status: dict[str, Any] = instance.json("status")
    slot = status["slot"]
    wait_until(lambda: instance.json("status")["slot"] > slot + 1, "the next blocks are sealed")
    return status


def test_killed_and_started_again_goes_on_where_it_was(tmp_path: Path) -> None:
    """SIGKILL to everything: slot, blockhashes, statuses and counts continue."""
    instance = Instance(tmp_path / "data")
    instance.start("--workers", "1", "--no-flower")
    assert instance("load", "--accounts", "10", "--count", "50").code == 0
    transaction = instance.signed(instance.faucet(), 10**9)
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
    line.write_text(base64.b64encode(bytes(transaction)).decode() + "\n")
    assert instance("submit", str(line), "--wait").code == 0
    again = instance("submit", str(line), "--wait")
    assert "duplicate" in (again.out + again.err).lower()
    assert instance("audit").code == 0
    instance.end()
