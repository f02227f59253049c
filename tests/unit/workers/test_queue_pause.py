"""The gate beside remote control and errors, on kombu's in-memory transport."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from kombu import Queue

from workers.bootsteps.queue_pause import QueuePause


class Worker:
    """A Celery consumer's queues without its worker."""

    def __init__(self) -> None:
        self.app: Any = Celery(broker="memory://")
        self.app.conf.task_queues = [Queue("gated"), Queue("free")]
        self._connection = self.app.connection_for_read()
        self.task_consumer = self.app.amqp.TaskConsumer(self._connection.channel())
        self.task_consumer.consume()
        self.answer: bool | Exception = True
        self.gate = QueuePause(["gated"], self._ask)

    def _ask(self) -> bool:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def look(self, answer: bool | Exception) -> set[str]:
        """The queues consumed after a look at the gate."""
        self.answer = answer
        self.gate.check(self)
        return {name for name in ("gated", "free") if self.task_consumer.consuming_from(name)}

    def close(self) -> None:
        self._connection.close()
        self.app.close()


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.close()


BOTH = {"gated", "free"}


def test_only_the_gated_queue_follows_the_gate(worker: Worker) -> None:
    assert [worker.look(answer) for answer in (True, False, False, True, True)] == [
        BOTH, {"free"}, {"free"}, BOTH, BOTH,
    ]  # fmt: skip


def test_a_queue_that_was_cancelled_by_remote_control_stays_cancelled(worker: Worker) -> None:
    worker.look(False)
    worker.app.amqp.queues.deselect("gated")  # what `celery control cancel_consumer gated` does
    assert worker.look(True) == {"free"}


def test_a_queue_added_by_remote_control_waits_for_the_gate(worker: Worker) -> None:
    worker.look(False)
    worker.task_consumer.add_queue(Queue("gated"))
    worker.task_consumer.consume()
    assert worker.look(False) == {"free"}
    assert worker.look(True) == BOTH


def test_a_gate_that_cannot_be_asked_stays_as_it_is_and_says_so_once(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    assert worker.look(ZeroDivisionError()) == BOTH
    worker.look(False)
    assert worker.look(ZeroDivisionError()) == {"free"}
    assert worker.look(ZeroDivisionError()) == {"free"}
    assert caplog.text.count("cannot be read") == 2
    assert worker.look(True) == BOTH


def test_opening_a_queue_writes_nothing(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full Redis refuses declarations; the worker must be able to go on all the same."""
    worker.look(False)
    monkeypatch.setattr(Queue, "declare", _forbidden)
    assert worker.look(True) == BOTH
    assert worker.task_consumer.auto_declare


def _forbidden(*_: object, **__: object) -> None:
    raise AssertionError("declared")


def test_a_worker_that_is_shutting_down_is_left_alone(worker: Worker) -> None:
    gone: Any = SimpleNamespace(app=worker.app, task_consumer=None)
    worker.answer = False
    worker.gate.check(gone)
    assert not worker.gate.open
