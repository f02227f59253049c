"""The fixture `trunkline_ledger` as its users have it: in a pytest run of their own, spread by xdist."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli.program import environment

pytestmark = [pytest.mark.processes, pytest.mark.real_redis, pytest.mark.timeout(400)]

_THEIR_TESTS = """
import json, os, pathlib, time

import config, tasks

def test_their_modules_are_theirs(trunkline_ledger):
    assert config.THEIRS and tasks.THEIRS

def balance(ledger, key):
    return ledger.call("getBalance", key, {"commitment": "processed"})["value"]

def test_airdrop(trunkline_ledger):
    key = "6rYkX1YYsUjxPVyKpNnWPZGJNZUfGoM7V7haak4QATkn"
    assert balance(trunkline_ledger, key) == 0
    trunkline_ledger.call("requestAirdrop", key, 5_000_000)
    until = time.monotonic() + 60
    while balance(trunkline_ledger, key) != 5_000_000 and time.monotonic() < until:
        time.sleep(0.05)
    assert balance(trunkline_ledger, key) == 5_000_000
    # What is set by hand is there once the call returns, and so is a later slot.
    trunkline_ledger.call("surfnet_setAccount", "CktRuQ2mttgRGkXJtyksdKHjUdc2C4TgDzyB98oEzy8", {"lamports": 7_000_000})
    assert balance(trunkline_ledger, "CktRuQ2mttgRGkXJtyksdKHjUdc2C4TgDzyB98oEzy8") == 7_000_000
    later = trunkline_ledger.call("getSlot", {"commitment": "processed"}) + 10
    assert trunkline_ledger.call("surfnet_timeTravel", {"absoluteSlot": later})["absoluteSlot"] >= later
    facts = [trunkline_ledger.call("getGenesisHash"), str(trunkline_ledger.folder), trunkline_ledger.rpc_url]
    pathlib.Path(os.environ["PYTEST_XDIST_WORKER"] + ".json").write_text(json.dumps(facts))
"""


def test_every_xdist_worker_has_a_ledger_of_its_own(tmp_path: Path) -> None:
    # A project with modules that are named as packages of ours; it does nothing to have the fixture.
    for name in ("config", "tasks"):
        (tmp_path / f"{name}.py").write_text("THEIRS = True")
    (tmp_path / "test_theirs.py").write_text(_THEIR_TESTS)
    # Its own temporary folder keeps what it started in sight.
    base = ["--basetemp", str(tmp_path / "runs"), "-p", "no:cacheprovider", "-n", "2", "--dist", "each", "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *base],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "4 passed" in done.stdout
    ledgers = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("gw0", "gw1")]
    for left, right in zip(*ledgers, strict=True):
        assert left != right
    # Nothing is left running: an instance that ends leaves no note of itself.
    logs = list((tmp_path / "runs").rglob("up.txt"))
    assert len(logs) == 2
    assert all(log.read_text().rstrip().endswith("Stopped.") for log in logs)
