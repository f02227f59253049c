"""Beat on a host whose clock is wrong: the pipeline's maintenance runs all the same, and never piles up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.queues import MAINTENANCE
from tests.support.faketime import WrongClock
from tests.support.paths import ROOT
from tests.support.pipelines import MakePipeline, Pipeline
from tests.support.waiting import wait_until
from workers.beat import MAX_WAITING

pytestmark = pytest.mark.processes


class Beats:
    """Starts `celery beat` processes on a pipeline, and ends them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, pipeline: Pipeline, **environment: str) -> Path:
        """Beat as its command line starts it; its log."""
        log = self.folder / "beat.log"
        command = [sys.executable, "-m", "celery", "-A", "workers.app", "beat", "-l", "INFO"]
        with log.open("wb") as output:
            self._running.append(
                subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env={**os.environ, **pipeline._environment, **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            )
        return log

    def close(self) -> None:
        for each in self._running:
            each.send_signal(signal.SIGKILL)
            each.wait()


@pytest.fixture
def beats(tmp_path: Path) -> Iterator[Beats]:
    started = Beats(tmp_path)
    yield started
    started.close()


def finalized(pipeline: Pipeline) -> int:
    return pipeline.ledger.state().finalized


def wait_for_blocks(pipeline: Pipeline, count: int, log: Path) -> None:
    before = finalized(pipeline)
    try:
        wait_until(lambda: finalized(pipeline) >= before + count, f"{count} more blocks")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{pipeline.logs()}\n{log.read_text()[-3000:]}") from None


def waiting(pipeline: Pipeline) -> int:
    found: Any = pipeline.client.llen(MAINTENANCE)
    return int(found)


@pytest.mark.parametrize("seconds", [-2.0, 3600.0])
def test_sealing_goes_on_whatever_beats_clock_says(
    make_pipeline: MakePipeline, beats: Beats, tmp_path: Path, seconds: float
) -> None:
    pipeline = make_pipeline()
    log = beats.start(pipeline, **WrongClock(tmp_path, seconds).environment)
    pipeline.start_worker("maintenance", queues="maintenance", pool="solo")
    wait_for_blocks(pipeline, 5, log)


def test_sealing_goes_on_when_beats_clock_is_set_back(
    make_pipeline: MakePipeline, beats: Beats, tmp_path: Path
) -> None:
    pipeline = make_pipeline()
    clock = WrongClock(tmp_path)
    log = beats.start(pipeline, **clock.environment)
    pipeline.start_worker("maintenance", queues="maintenance", pool="solo")
    wait_for_blocks(pipeline, 3, log)
    clock.set(-3600.0)
    wait_for_blocks(pipeline, 5, log)
    clock.set(0.0)
    wait_for_blocks(pipeline, 5, log)


def test_without_workers_beats_messages_do_not_pile_up(make_pipeline: MakePipeline, beats: Beats) -> None:
    pipeline = make_pipeline(slot_interval=0.02)
    log = beats.start(pipeline)
    wait_until(lambda: waiting(pipeline) >= MAX_WAITING, f"the queue is full\n{log.read_text()[-3000:]}")
    # At 50 and more a second it would have many more by then.
    time.sleep(1.0)
    assert waiting(pipeline) == MAX_WAITING
    # And the first worker that comes finds its way through at once.
    pipeline.start_worker("maintenance", queues="maintenance", pool="solo")
    wait_for_blocks(pipeline, 5, log)
