"""The board shows who consumes: as long as they say so, and not longer."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from config import queues
from tests.ledgers import new_world
from workers import worker_registry as presence
from workers.worker_registry import LONGEST_AGE, Presence, PresenceBoard, PresenceStep


@pytest.fixture
def board(any_redis: redis.Redis) -> PresenceBoard:
    return PresenceBoard(any_redis, "test")


def test_a_worker_appears_with_what_it_consumes(board: PresenceBoard, any_redis: redis.Redis) -> None:
    board.beat("tx1@host", 11, [queues.TRANSACTIONS])
    assert [(one.name, one.pid, one.queues, one.epoch) for one in board.workers()] == [
        ("tx1@host", 11, ("transactions",), None)
    ]
    new_world(any_redis)
    board.beat('odd "name"@host', 12, [queues.MAINTENANCE, queues.TRANSACTIONS])
    board.beat("tx1@host", 13, [queues.TRANSACTIONS])
    found = board.workers()
    assert [(one.name, one.pid, one.epoch) for one in found] == [('odd "name"@host', 12, 1), ("tx1@host", 13, 1)]
    assert found[0].queues == ("maintenance", "transactions")
    assert abs(found[0].at - time.time()) < 60


def test_who_leaves_is_gone(board: PresenceBoard) -> None:
    board.beat("tx1@host", 11, [queues.TRANSACTIONS])
    board.leave("tx1@host")
    assert board.workers() == []


def test_who_falls_silent_is_not_shown_and_then_forgotten(board: PresenceBoard, any_redis: redis.Redis) -> None:
    board.beat("tx1@host", 11, [queues.TRANSACTIONS])
    long_ago = int((time.time() - LONGEST_AGE - 1) * 1000)
    any_redis.hset(board.key, "tx2@host", f'{long_ago}:{{"pid": 1, "queues": [], "epoch": 1}}')
    assert [one.name for one in board.workers()] == ["tx1@host"]
    board.beat("tx1@host", 11, [queues.TRANSACTIONS])
    assert any_redis.hkeys(board.key) == [b"tx1@host"]
    assert 0 < any_redis.pttl(board.key) <= LONGEST_AGE * 1000


def test_ledgers_do_not_see_each_others_workers(board: PresenceBoard, any_redis: redis.Redis) -> None:
    board.beat("tx1@host", 11, [queues.TRANSACTIONS])
    assert PresenceBoard(any_redis, "other").workers() == []


class Outage:
    """A board that can be switched off."""

    def __init__(self, board: PresenceBoard) -> None:
        self.board = board
        self.away = False

    def beat(self, *args: Any) -> None:
        if self.away:
            raise redis.ConnectionError("away")
        self.board.beat(*args)

    def leave(self, name: str) -> None:
        if self.away:
            raise redis.ConnectionError("away")
        self.board.leave(name)


def test_the_step_survives_an_outage_and_warns_once(
    board: PresenceBoard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    switched = Outage(board)
    monkeypatch.setattr(presence, "get_settings", lambda: None)
    monkeypatch.setattr(presence, "_board", lambda settings: switched)
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
    step = PresenceStep(consumer)
    switched.away = True
    step.start(consumer)
    for _ in range(3):
        calls[0]()
    assert len(caplog.records) == 1
    switched.away = False
    calls[0]()
    seen: list[Presence] = board.workers()
    assert [one.queues for one in seen] == [("transactions", "maintenance")]
    step.stop(consumer)
    assert board.workers() == []
    assert calls == []


def test_who_died_before_the_clock_was_set_back_is_forgotten(board: PresenceBoard, any_redis: redis.Redis) -> None:
    in_an_hour = int((time.time() + 3600) * 1000)
    any_redis.hset(board.key, "tx2@host", f'{in_an_hour}:{{"pid": 1, "queues": [], "epoch": 1}}')
    assert board.workers() == []
    board.beat("tx1@host", 11, [queues.TRANSACTIONS])
    assert any_redis.hkeys(board.key) == [b"tx1@host"]
