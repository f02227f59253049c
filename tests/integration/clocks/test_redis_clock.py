"""Redis' clock set back by an hour, and forth again, under a running fleet: nothing waits for the hour to pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from recovery.degradation import DegradationMode, SharedRules
from tasks.modes import open_modes
from tasks.policies import PIPELINE_RULES
from tests.support.faketime import WrongClock
from tests.support.paths import ROOT
from tests.support.pipelines import MakePipeline, Pipeline
from tests.support.redis_servers import MakeRedis
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes

HOUR = 3600.0


def make_redis_with(clock: WrongClock, make_redis: MakeRedis, monkeypatch: pytest.MonkeyPatch) -> str:
    """A real server that goes by `clock`; its URL."""
    with monkeypatch.context() as patch:
        for name, value in clock.environment.items():
            patch.setenv(name, value)
        return make_redis().url


def status(pipeline: Pipeline) -> dict[str, Any]:
    """What `trunkline status --json` prints."""
    answer = subprocess.run(
        [sys.executable, "-m", "workers.cli.program", "status", "--json"],
        cwd=ROOT,
        env={**os.environ, **pipeline._environment},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def wait_for_blocks(pipeline: Pipeline, count: int) -> None:
    before = pipeline.ledger.state().finalized
    try:
        wait_until(lambda: pipeline.ledger.state().finalized >= before + count, f"{count} more blocks")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{pipeline.describe()}\n{pipeline.logs()}") from None


def mode(pipeline: Pipeline) -> DegradationMode:
    return open_modes(pipeline.settings).get_component_mode("transactions", "WRITE")


def test_an_hour_back_and_forth_holds_nothing_up(
    make_pipeline: MakePipeline, make_redis: MakeRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = WrongClock(tmp_path)
    pipeline = make_pipeline(make_redis_with(clock, make_redis, monkeypatch))
    pipeline.start(1)
    wait_for_blocks(pipeline, 2)
    wait_until(lambda: bool(pipeline.client.exists(pipeline.ledger.keys.health)), "health was evaluated")
    # At the moment of the jump: one transaction lost its message, one is parked, and a rule holds everything.
    lost, parked, later = pipeline.transfers(3)
    pipeline.client.set(pipeline.ledger.keys.archive_error, "1", ex=5)
    SharedRules(open_modes(pipeline.settings), PIPELINE_RULES).evaluate({"archive_writable": 0.0})
    assert mode(pipeline) is DegradationMode.READ_ONLY
    pipeline.intake.accept([(lost.signature, lost.raw)])
    pipeline.intake.accept([(parked.signature, parked.raw)])
    pipeline.intake.park([(parked.signature, parked.raw)], 2.0)
    clock.set(-HOUR)
    wait_for_blocks(pipeline, 5)
    wait_until(lambda: mode(pipeline) is DegradationMode.NORMAL, "the rule lets go")
    pipeline.submit([later])
    pipeline.assert_sound([lost, parked, later])
    told = status(pipeline)
    assert HOUR - 120 < told["clock_back"] <= HOUR
    assert 0 <= told["last_block"] < 30
    clock.set(0.0)
    wait_for_blocks(pipeline, 5)
    transactions = pipeline.transfers(20)
    pipeline.submit(transactions)
    pipeline.assert_sound(transactions)
    assert status(pipeline)["clock_back"] == 0
    assert mode(pipeline) is DegradationMode.NORMAL
    times = [block.header.time_ms for block in pipeline.blocks.follow(0, None)]
    assert all(earlier <= later for earlier, later in pairwise(times)), "blocks never go back in time"
    assert [worker.alive() for worker in pipeline.workers] == [True, True]
