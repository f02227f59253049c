"""The registry lists a worker for as long as it sends heartbeats, and no longer."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from banking.ledger.worker_registry import MAX_AGE, WorkerRegistry, WorkerStatus
from config import queues
from tests.support.ledgers import new_world
from workers.bootsteps import heartbeat as heartbeat_step
from workers.bootsteps.heartbeat import HeartbeatStep


@pytest.fixture
def registry(any_redis: redis.Redis) -> WorkerRegistry:
    return WorkerRegistry(any_redis, "test")


def test_a_worker_appears_with_what_it_consumes(registry: WorkerRegistry, any_redis: redis.Redis) -> None:
    registry.heartbeat("tx1@host", 11, [queues.TRANSACTIONS])
    assert [(one.name, one.pid, one.queues, one.epoch) for one in registry.consuming()] == [
        ("tx1@host", 11, ("transactions",), None)
    ]
    new_world(any_redis)
    registry.heartbeat('odd "name"@host', 12, [queues.MAINTENANCE, queues.TRANSACTIONS])
    registry.heartbeat("tx1@host", 13, [queues.TRANSACTIONS])
    found = registry.consuming()
    assert [(one.name, one.pid, one.epoch) for one in found] == [('odd "name"@host', 12, 1), ("tx1@host", 13, 1)]
    assert found[0].queues == ("maintenance", "transactions")
    assert abs(found[0].at - time.time()) < 60


def test_who_leaves_is_gone(registry: WorkerRegistry) -> None:
    registry.heartbeat("tx1@host", 11, [queues.TRANSACTIONS])
    registry.deregister("tx1@host")
    assert registry.consuming() == []


def test_who_falls_silent_is_not_shown_and_then_forgotten(registry: WorkerRegistry, any_redis: redis.Redis) -> None:
    registry.heartbeat("tx1@host", 11, [queues.TRANSACTIONS])
    long_ago = int((time.time() - MAX_AGE - 1) * 1000)
    any_redis.hset(registry.key, "tx2@host", f'{long_ago}:{{"pid": 1, "queues": [], "epoch": 1}}')
    assert [one.name for one in registry.consuming()] == ["tx1@host"]
    registry.heartbeat("tx1@host", 11, [queues.TRANSACTIONS])
    assert any_redis.hkeys(registry.key) == [b"tx1@host"]
    assert 0 < any_redis.pttl(registry.key) <= MAX_AGE * 1000


def test_ledgers_do_not_see_each_others_workers(registry: WorkerRegistry, any_redis: redis.Redis) -> None:
    registry.heartbeat("tx1@host", 11, [queues.TRANSACTIONS])
    assert WorkerRegistry(any_redis, "other").consuming() == []


class Outage:
    """A registry that can be switched off."""

    def __init__(self, registry: WorkerRegistry) -> None:
        self.registry = registry
        self.away = False

    def heartbeat(self, *args: Any) -> None:
        if self.away:
            raise redis.ConnectionError("away")
        self.registry.heartbeat(*args)

    def deregister(self, name: str) -> None:
        if self.away:
            raise redis.ConnectionError("away")
        self.registry.deregister(name)


def test_the_step_survives_an_outage_and_warns_once(
    registry: WorkerRegistry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    switched = Outage(registry)
    monkeypatch.setattr(heartbeat_step, "get_settings", lambda: None)
    monkeypatch.setattr(heartbeat_step, "_open_registry", lambda settings: switched)
    calls: list[Any] = []

    def call_repeatedly(interval: float, function: Any, args: tuple[Any, ...]) -> Any:
        calls.append(lambda: function(*args))
        return SimpleNamespace(cancel=calls.clear)

    consumer = SimpleNamespace(
        hostname="tx1@host",
        timer=SimpleNamespace(call_repeatedly=call_repeatedly),
        task_consumer=SimpleNamespace(queues=queues.queue_objects()),
        steps=[],
    )
    step = HeartbeatStep(consumer)
    switched.away = True
    step.start(consumer)
    for _ in range(3):
        calls[0]()
    assert len(caplog.records) == 1
    switched.away = False
    calls[0]()
    seen: list[WorkerStatus] = registry.consuming()
    assert [one.queues for one in seen] == [("transactions", "maintenance")]
    step.stop(consumer)
    assert registry.consuming() == []
    assert calls == []


def test_who_died_before_the_clock_was_set_back_is_forgotten(registry: WorkerRegistry, any_redis: redis.Redis) -> None:
    in_an_hour = int((time.time() + 3600) * 1000)
    any_redis.hset(registry.key, "tx2@host", f'{in_an_hour}:{{"pid": 1, "queues": [], "epoch": 1}}')
    assert registry.consuming() == []
    registry.heartbeat("tx1@host", 11, [queues.TRANSACTIONS])
    assert any_redis.hkeys(registry.key) == [b"tx1@host"]
