"""The logs of `trunkline up`: one file a process, in one format, rotated while it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from tests.support.cli.program import Instance
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.processes, pytest.mark.real_redis]

BYTES = 20_000


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    """Every line of a process's log files; whatever is no JSON fails here."""
    return [json.loads(line) for path in folder.glob(f"{name}.log*") for line in path.read_text().splitlines()]


def test_every_process_writes_objects_and_rotates(tmp_path: Path) -> None:
    variables = {"LOG_FORMAT": "json", "LOG_LEVEL": "debug", "LOG_FILE_BYTES": str(BYTES), "LOG_FILES_KEPT": "50"}
    instance = Instance(tmp_path / "data", {f"TRUNKLINE_{name}": value for name, value in variables.items()})
    folder = instance.folder / "log"
    instance.start("--workers", "1")
    signature = instance("airdrop", str(Keypair().pubkey()), "1SOL").out.splitlines()[0]
    wait_until(lambda: (folder / "beat.log.1").exists() and (folder / "maintenance.log.1").exists(), "logs rotate")
    instance.end()
    for name in ("tx1", "maintenance", "beat", "flower", "rpc"):
        assert lines(folder, name), f"{name} says nothing"
    story = [line["message"] for line in lines(folder, "tx1") if signature in line.get("signatures", [])]
    assert story == ["Worker: 1 taken", "Worker: 1 committed; 1 with this outcome"]
    kept = [path for path in folder.iterdir() if not path.name.startswith("redis")]
    # A line or two may come between looking and writing.
    assert all(path.stat().st_size < BYTES + 5_000 for path in kept)
