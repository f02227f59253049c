"""Modes over real processes and a real Redis that stops, comes back, loses its data or is full."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import redis

from recovery.connections import connect
from recovery.degradation import DegradationManager, DegradationMode, OperationRefused, RedisMemoryRatio, collect
from tests.support.paths import ROOT
from tests.support.redis_servers import MakeRedis
from tests.support.waiting import wait_until

pytestmark = pytest.mark.real_redis

PROCESSES = 6
NORMAL, READ_ONLY, ESSENTIAL_ONLY, OFFLINE = DegradationMode


class Watcher:
    """A process of `watcher.py` and what it has printed."""

    def __init__(self, url: str, output: Path) -> None:
        self._output = output
        with output.open("wb") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.apps.mode_watcher", url], cwd=ROOT, stdout=stream
            )

    def seen(self) -> list[tuple[float, str]]:
        """Each change: the machine's monotonic time, and the mode."""
        lines = [line for line in self._output.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [(float(at), mode) for at, mode in (line.split() for line in lines)]

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def watchers(redis_url: str, tmp_path: Path) -> Iterator[list[Watcher]]:
    started = [Watcher(redis_url, tmp_path / f"watcher{i}") for i in range(PROCESSES)]
    yield started
    for each in started:
        each.stop()


@pytest.mark.processes
def test_every_process_sees_a_change_within_a_second(redis_url: str, watchers: list[Watcher]) -> None:
    wait_until(lambda: all(each.seen() for each in watchers), "all processes look")
    with connect(redis_url) as client:
        manager = DegradationManager(client)
        for mode in (READ_ONLY, OFFLINE, NORMAL):
            changed = time.monotonic()
            manager.set_component_mode("demo", mode)
            wait_until(partial(_all_see, watchers, mode.name), "all see the mode")
            delays = [each.seen()[-1][0] - changed for each in watchers]
            assert max(delays) < 1.0, sorted(delays)


def _all_see(watchers: list[Watcher], mode: str) -> bool:
    return all(each.seen()[-1][1] == mode for each in watchers)


def test_the_last_known_modes_rule_while_redis_is_away(make_redis: MakeRedis, caplog: pytest.LogCaptureFixture) -> None:
    server = make_redis()
    with connect(server.url) as client:
        manager = DegradationManager(client)
        manager.set_component_mode("demo", READ_ONLY)
        manager.set_component_mode("brief", OFFLINE, duration=1.0)
        server.stop()
        wait_until(lambda: "Redis is away" in _look(manager, caplog), "it says so")
        assert not manager.is_operation_allowed("demo", "WRITE")
        assert manager.get_system_status()["redis_away_for"] is not None
        wait_until(lambda: manager.get_component_mode("brief") is NORMAL, "an override ends without Redis, too")
        server.start()
        wait_until(lambda: "Redis is back" in _look(manager, caplog), "it says so")
        assert manager.get_component_mode("demo") is READ_ONLY


def _look(manager: DegradationManager, caplog: pytest.LogCaptureFixture) -> str:
    manager.get_component_mode("demo")
    return caplog.text


def test_an_emptied_redis_gets_the_modes_back(redis_client: redis.Redis) -> None:
    workers = [DegradationManager(redis_client, poll_timeout=2.0) for _ in range(3)]
    workers[0].set_component_mode("demo", READ_ONLY, actor="ann", reason="drill")
    wait_until(lambda: all(each.get_component_mode("demo") is READ_ONLY for each in workers), "all know")
    redis_client.flushall()
    emptied = time.monotonic()
    newcomer = DegradationManager(redis_client, poll_timeout=2.0)
    wait_until(
        lambda: [each.get_component_mode("demo") for each in (*workers, newcomer)] == [READ_ONLY] * 4,
        "written back",
    )
    assert time.monotonic() - emptied < 2.0
    (entry,) = newcomer.history()
    assert (entry.cause, entry.actor, entry.reason) == ("restored", "ann", "drill")


def test_modes_can_be_changed_in_a_full_redis(make_redis: MakeRedis) -> None:
    """A full Redis is one of the reasons to degrade, so it must not stand in the way of it."""
    with connect(make_redis().url) as client:
        for i in range(3_000):
            client.rpush("ballast", f"{i:01000d}")
        client.config_set("maxmemory", 2 * 1024 * 1024)
        with pytest.raises(redis.ResponseError, match="maxmemory"):
            client.set("one", "more")
        assert collect([RedisMemoryRatio(client)])["redis_memory_ratio"] > 0.95
        manager = DegradationManager(client)
        assert manager.set_component_mode("demo", READ_ONLY, duration=0.5) is READ_ONLY
        assert manager.set_component_mode("demo", OFFLINE, operation="WRITE") is OFFLINE
        assert manager.clear("demo", operation="WRITE")
        wait_until(lambda: manager.get_component_mode("demo") is NORMAL, "it ends by itself")
        wait_until(lambda: manager.history()[0].cause == "expired", "and the log says so")


@pytest.mark.processes
def test_a_forked_child_asks_for_itself(redis_client: redis.Redis) -> None:
    """Prefork: a child forked while another thread renews the snapshot must not wait for that thread."""
    manager = DegradationManager(redis_client, poll_timeout=2.0)
    manager.get_component_mode("demo")
    held, forked = threading.Event(), threading.Event()

    def renew() -> None:
        with manager._reader._lock:
            held.set()
            forked.wait(10.0)

    renewer = threading.Thread(target=renew)
    renewer.start()
    held.wait(10.0)
    pid = os.fork()
    if pid == 0:
        os._exit(_child(manager))
    forked.set()
    renewer.join()
    manager.set_component_mode("demo", READ_ONLY)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _child(manager: DegradationManager) -> int:
    """0 once the child sees the refusal; 1 when it never does."""
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        try:
            manager.check("demo", "WRITE")
        except OperationRefused:
            return 0
        time.sleep(0.02)
    return 1
