"""Pauses the consumption of queues while their gate is closed, and resumes it when the gate opens.

A refused message that is taken anyway has to be parked one by one; leaving it in the broker costs nothing. The
step cancels the consumer of its queues only, so a worker's other queues, its connection, remote control and
heartbeats go on. A message that the broker had already handed out when the gate closed (a BRPOP was pending) finds
no consumer, and kombu puts it back to the head of its queue. Wrapping `channel.qos.can_consume`, as Celery does
for `worker_disable_prefetch`, would stop all queues of the worker, and would leave that message in a socket's
buffer, in neither `unacked` nor the queue, for as long as the gate is closed.

Messages that the worker had reserved before are not held back; their tasks ask the gate themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from celery import bootsteps
from kombu import Queue

from config.errors import ConfigurationError

logger = logging.getLogger(__name__)

#: Seconds between two checks of the gate.
CHECK_EVERY = 0.1
#: Longest BRPOP in seconds while a queue is paused: a reopened queue joins only the next BRPOP of its worker.
MAX_WAIT = 0.5

IsOpen = Callable[[], bool]


class QueuePause:
    """Keeps the consumption of `queues` on one Celery consumer in step with `is_open`.

    `is_open` runs inside the worker's event loop about ten times a second: it must answer from memory, or wait very
    briefly (DegradationManager's `poll_timeout`). If it raises, the gate stays as it is and the error is logged.
    """

    def __init__(self, queues: Sequence[str], is_open: IsOpen) -> None:
        self._names = tuple(queues)
        self._is_open = is_open
        self._open = True
        self._paused = False
        self._failing = False

    @property
    def open(self) -> bool:
        """Whether the gate was open at the last check."""
        return self._open

    def check(self, consumer: Any) -> None:
        """Read the gate, and start or stop consuming accordingly. `consumer` is Celery's Consumer."""
        was, self._open = self._open, self._read_gate()
        if consumer.task_consumer is None:
            return
        # At every check, not only on a change: a reconnect or remote control may have begun consuming again.
        if self._open:
            self._resume(consumer)
        else:
            self._pause(consumer)
        if was != self._open:
            logger.warning("gate of %s is %s", ", ".join(self._names), "open" if self._open else "closed")

    def _read_gate(self) -> bool:
        try:
            answer = bool(self._is_open())
        except Exception:
            if not self._failing:
                logger.exception("gate of %s cannot be read; it stays as it is", ", ".join(self._names))
            self._failing = True
            return self._open
        self._failing = False
        return answer

    def _pause(self, consumer: Any) -> None:
        self._paused = True
        _shorten_wait(consumer.task_consumer.channel)
        for queue in self._chosen(consumer):
            # Also while not consuming yet: at boot the consumer knows its queues before it starts.
            consumer.task_consumer.cancel_by_queue(queue.name)

    def _resume(self, consumer: Any) -> None:
        """Resume the queues that were paused here, except those that the worker was told to leave since."""
        if not self._paused:
            return
        tasks = consumer.task_consumer
        for queue in self._chosen(consumer):
            if not tasks.consuming_from(queue.name):
                _add_declared(tasks, queue)
        tasks.consume()
        _restore_wait(tasks.channel)
        self._paused = False

    def _chosen(self, consumer: Any) -> list[Queue]:
        """Those gated queues that this worker is told to consume (by -Q, or by remote control since)."""
        chosen = consumer.app.amqp.queues.consume_from
        return [chosen[name] for name in self._names if name in chosen]


def _add_declared(tasks: Any, queue: Queue) -> None:
    """Add a queue that exists. Declaring it again would be a write, which a full Redis refuses."""
    declares, tasks.auto_declare = tasks.auto_declare, False
    try:
        tasks.add_queue(queue)
    finally:
        tasks.auto_declare = declares


def _shorten_wait(channel: Any) -> None:
    # kombu's Redis channel has this attribute; other transports deliver without polling.
    if getattr(channel, "brpop_timeout", 0) > MAX_WAIT:
        channel.brpop_timeout = MAX_WAIT


def _restore_wait(channel: Any) -> None:
    if hasattr(channel, "brpop_timeout"):
        channel.brpop_timeout = channel.connection.brpop_timeout


def queue_pause_step(queues: Sequence[str], is_open: IsOpen) -> type[bootsteps.StartStopStep]:
    """A consumer boot step that gates `queues`; add it with `app.steps["consumer"].add(queue_pause_step(...))`.

    `is_open` is first called in the worker's main process, when it connects to the broker.
    """
    pause = QueuePause(queues, is_open)

    class QueuePauseStep(bootsteps.StartStopStep):
        """Pauses consumption of the gated queues."""

        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, c: Any) -> None:
            if c.hub is None:
                raise ConfigurationError("A gated worker needs an event loop: use the prefork, threads or solo pool.")
            # Before the first message: the consumer has its queues now, and starts when all steps have.
            pause.check(c)

        def register_with_event_loop(self, c: Any, hub: Any) -> None:
            # The worker cancels its loop's timers on a lost connection and registers again after it.
            hub.call_repeatedly(CHECK_EVERY, pause.check, c)

        def info(self, c: Any) -> Any:  # noqa: ARG002
            return {"gate": {"queues": list(queues), "open": pause.open}}

    return QueuePauseStep
