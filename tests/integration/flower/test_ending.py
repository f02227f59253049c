"""Flower ends when it is told to, whatever its threads wait for."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from tests.support.flower.plain import END, PlainFlower
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_end_waits_for_no_answer(tmp_path: Path, number: signal.Signals) -> None:
    flower = PlainFlower(tmp_path, app="tests.support.apps.stuck_app", TRUNKLINE_REDIS_URL="redis://127.0.0.1:1/0")
    try:
        flower.wait_listening()
        # Beside the main thread: one for events, and four that ask the workers about themselves.
        wait_until(lambda: psutil.Process(flower.pid).num_threads() >= 6, "its threads wait for an answer")
        assert flower.end(number) < END
    finally:
        flower.kill()
