"""A closed gate stops one queue of a real worker, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from recovery.connections import connect
from recovery.degradation import DegradationManager
from tests.support.apps.gated_app import FREE, GATED, make_app
from tests.support.paths import ROOT
from tests.support.redis_servers import MakeRedis
from tests.support.waiting import wait_until
from workers.supervisor.embedded_redis import EmbeddedRedis

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]


class Scene:
    """A broker, a worker on both queues, and the modes that gate one of them."""

    def __init__(self, broker: EmbeddedRedis, modes_url: str, log: Path) -> None:
        self.client: redis.Redis = connect(broker.url)
        self.manager = DegradationManager(modes_url)
        self._app = make_app(broker.url)
        self._environment = {**os.environ, "GATED_BROKER": broker.url, "GATED_MODES": modes_url}
        self._log = log
        self._worker: subprocess.Popen[bytes] | None = None
        self._sent = 0

    def start_worker(self, queues: str = f"{GATED},{FREE}") -> None:
        command = [sys.executable, "-m", "celery", "-A", "tests.support.apps.gated_app", "worker"]
        with self._log.open("wb") as log:
            self._worker = subprocess.Popen(
                [*command, "-Q", queues, "-c", "1", "--loglevel", "info", "-n", "gated@test"],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(lambda: b" ready." in self._log.read_bytes(), "the worker is ready")

    def send(self, name: str) -> None:
        self._sent += 1
        self._app.send_task(name, [self._sent])

    def started(self, name: str) -> int:
        return int(self.client.llen(f"started:{name}"))

    def waiting(self) -> int:
        """Messages in the broker's gated queue."""
        return int(self.client.llen(GATED))

    def connections(self) -> set[str]:
        found: Any = self.client.client_list()
        return {each["id"] for each in found if each["id"] != str(self.client.client_id())}

    def run_chore(self) -> float:
        """Seconds until a task of the free queue has started."""
        before, began = self.started("chore"), time.monotonic()
        self.send("chore")
        wait_until(lambda: self.started("chore") > before, "the free queue works")
        return time.monotonic() - began

    def logged(self, text: bytes) -> int:
        return self._log.read_bytes().count(text)

    def close(self) -> None:
        if self._worker is not None:
            children = psutil.Process(self._worker.pid).children(recursive=True)
            self._worker.send_signal(signal.SIGTERM)
            try:
                self._worker.wait(15)
            except subprocess.TimeoutExpired:
                for child in children:
                    child.kill()
                self._worker.kill()
                self._worker.wait()
        self._app.close()
        self.client.close()


@pytest.fixture
def scene(make_redis: MakeRedis, tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    """Makes the scene: `scene(broker, modes_url)`."""
    made: list[Scene] = []

    def make(broker: EmbeddedRedis, modes_url: str | None = None) -> Scene:
        made.append(Scene(broker, modes_url or broker.url, tmp_path / "worker.log"))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_closed_gate_keeps_messages_in_the_broker_and_opens_within_a_second(
    make_redis: MakeRedis, scene: Callable[..., Scene]
) -> None:
    stage = scene(make_redis())
    stage.start_worker()
    stage.send("work")
    wait_until(lambda: stage.started("work") == 1, "an open gate lets work through")
    connections = stage.connections()

    stage.manager.set_component_mode("demo", "READ_ONLY")
    wait_until(lambda: stage.logged(b"gate of gated is closed"), "the worker closes its gate")
    for _ in range(20):
        stage.send("work")
    # A BRPOP that was pending when the gate closed has returned by then (it waits a second); what it took is back.
    for _ in range(3):
        stage.run_chore()
        time.sleep(0.5)
    assert stage.started("work") == 1, "no task starts while the gate is closed"
    assert stage.waiting() == 20, "every message is in the broker's queue"
    assert connections <= stage.connections(), "no connection was closed"

    opened = time.monotonic()
    stage.manager.clear("demo")
    wait_until(lambda: stage.started("work") > 1, "work goes on")
    assert time.monotonic() - opened < 1.0 + 0.5  # half a second for this test's own looking on a busy machine
    wait_until(lambda: stage.started("work") == 21, "all of the work is done")
    assert connections <= stage.connections()


def test_a_gate_closed_at_boot_and_over_a_reconnect_stays_closed(
    make_redis: MakeRedis, scene: Callable[..., Scene]
) -> None:
    stage = scene(make_redis())
    stage.manager.set_component_mode("demo", "READ_ONLY")
    for _ in range(3):
        stage.send("work")
    stage.start_worker()
    stage.run_chore()
    lost = stage.logged(b"Connected to")
    stage.client.client_kill_filter(_type="normal", skipme=True)
    wait_until(lambda: stage.logged(b"Connected to") > lost, "the worker reconnects")
    stage.run_chore()
    assert stage.started("work") == 0
    assert stage.waiting() == 3
    stage.manager.clear("demo")
    wait_until(lambda: stage.started("work") == 3, "work goes on")


def test_a_silent_redis_for_the_modes_does_not_hold_up_the_worker(
    make_redis: MakeRedis, scene: Callable[..., Scene]
) -> None:
    modes = make_redis()
    stage = scene(make_redis(), modes.url)
    stage.manager.set_component_mode("demo", "READ_ONLY")
    stage.start_worker()
    stage.run_chore()
    stage.send("work")
    assert modes.pid is not None
    os.kill(modes.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: stage.logged(b"Redis is away"), "the worker says so")
        # Its ordinary timeout is 2 s a reply, and each of these takes several turns of the loop.
        assert max(stage.run_chore() for _ in range(10)) < 1.5
        assert stage.started("work") == 0, "the last known mode goes on ruling"
    finally:
        os.kill(modes.pid, signal.SIGCONT)
    stage.manager.clear("demo")
    wait_until(lambda: stage.started("work") == 1, "work goes on")
