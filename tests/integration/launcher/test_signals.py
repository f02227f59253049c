"""How a launcher ends: by Ctrl-C once or twice, by SIGTERM, or killed without a word."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from config import queues
from config.settings import Settings
from recovery.connections import connect
from tests.support.apps.tiny_client import count, send
from tests.support.waiting import gone, wait_until
from workers.supervisor.launcher import Launcher

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]


class Running:
    """A launcher in a session of its own, as if started from a terminal, with one worker that takes tasks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.apps.launcher_main", str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.pids: dict[str, int] = json.loads(self.process.stdout.readline())
        note = json.loads((folder / "instance.json").read_text())
        self.redis_url, self.broker_url = str(note["redis_url"]), str(note["broker_url"])
        send(self.broker_url, queues.PROCESS, 0.0)
        wait_until(lambda: count(self.redis_url, "processed") == 1, "the worker takes tasks")
        self.tree = [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]

    def press_ctrl_c(self) -> None:
        """As a terminal does: to the whole foreground process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def assert_nothing_left(self) -> None:
        wait_until(lambda: all(gone(pid) for pid in self.tree), "every child has ended")
        wait_until(lambda: not (self.folder / "lock").exists(), "the lock is removed")
        assert not (self.folder / "instance.json").exists()
        assert not (self.folder / "redis" / "redis.sock").exists()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    instance = Running(tmp_path / "data")
    yield instance
    instance.process.kill()
    instance.process.communicate()
    for pid in instance.tree:
        if not gone(pid):
            os.kill(pid, signal.SIGKILL)


def _start_long_task(running: Running, seconds: float) -> None:
    send(running.broker_url, queues.PROCESS, seconds)
    with connect(running.redis_url) as client:
        wait_until(lambda: client.hlen("unacked") > 0, "the task is with the worker")


def test_sigterm_stops_softly(running: Running) -> None:
    running.process.send_signal(signal.SIGTERM)
    output, errors = running.process.communicate(timeout=30)
    assert output == "stopped by SIGTERM\n"
    assert "Traceback" not in errors
    running.assert_nothing_left()


def test_ctrl_c_reaches_only_the_launcher_so_running_tasks_end(running: Running) -> None:
    _start_long_task(running, 2.0)
    running.press_ctrl_c()
    output, errors = running.process.communicate(timeout=30)
    assert output == "stopped by SIGINT\n"
    assert "Traceback" not in errors
    running.assert_nothing_left()
    again = Launcher(Settings(data_dir=running.folder), workers=0, flower=False, app="tests.support.apps.tiny_app")
    again.start()
    assert count(again.redis_url, "processed") == 2
    again.stop()


def test_second_ctrl_c_does_not_wait_for_tasks_and_leaves_nothing(running: Running) -> None:
    _start_long_task(running, 600.0)
    running.press_ctrl_c()
    wait_until(lambda: gone(running.pids["beat"]), "stopping has begun")
    running.press_ctrl_c()
    output, errors = running.process.communicate(timeout=10)
    assert output == "stopped by SIGINT\n"
    assert "tx1" in errors  # the log says that it was killed
    assert "Traceback" not in errors
    running.assert_nothing_left()


def test_kill_9_of_the_launcher_leaves_no_orphan_and_a_successor_can_start(running: Running) -> None:
    running.process.kill()
    # At once: the successor must wait until nobody else writes to the data any more.
    successor = Launcher(Settings(data_dir=running.folder), workers=1, flower=False, app="tests.support.apps.tiny_app")
    successor.start()
    try:
        assert all(gone(pid) for pid in running.tree)
        assert count(successor.redis_url, "processed") == 1
        send(successor.broker_url, queues.PROCESS, 0.0)
        wait_until(lambda: count(successor.redis_url, "processed") == 2, "the successor's worker takes tasks")
    finally:
        successor.stop()
    running.assert_nothing_left()


def test_kill_9_of_the_launcher_removes_note_lock_and_socket(running: Running) -> None:
    running.process.kill()
    running.assert_nothing_left()
