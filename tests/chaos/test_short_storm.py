"""A short storm on real processes in every run of the tests. The gate has longer ones, with every kind of fault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = [pytest.mark.real_redis, pytest.mark.processes, pytest.mark.timeout(300)]
SEED, MINUTES = "12", 0.3
#: Faults that are over quickly; `make chaos` has them all.
QUICK = (
    "worker-kill,worker-pause,worker-child-kill,worker-end,maintenance-kill,maintenance-child-kill,beat-kill,rpc-kill,"
    "redis-kill-everysec,redis-kill-always,redis-power-cut,redis-flushall,redis-replaced-by-empty,"
    "redis-older-copy-put-back,redis-out-of-memory,redis-connections-cut,redis-scripts-forgotten,link-slow,"
    "link-replies-lost,link-refused,partition-of-all,messages-doubled,messages-lost,queue-garbage,unacked-deleted,"
    "checkpoint-flipped,manifest-deleted,block-truncated,archive-full,crash-at-seal.archived,crash-at-stage.executed"
)


def test_nothing_that_was_promised_is_broken(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chaos", "--minutes", str(MINUTES), "--folder", str(tmp_path / "storm")]
    command += ["--only", QUICK, "--seed", SEED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
