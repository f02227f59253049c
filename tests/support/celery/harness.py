"""A Celery worker without processes: messages go through kombu's memory transport and run one at a time."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from celery import Celery
from celery.app.trace import trace_task
from celery.worker.request import Request
from kombu.transport.memory import Channel, Transport

from recovery.clock import ManualClock
from recovery.task.state import HEADER

_numbers = itertools.count()


@dataclass(frozen=True)
class Ran:
    """One run of a task: Celery's state, what it returned or raised, and its message's headers."""

    state: str
    result: Any
    headers: dict[str, Any]

    @property
    def recovery(self) -> dict[str, Any]:
        found: dict[str, Any] = self.headers.get(HEADER, {})
        return found


class Harness:
    """An app on a memory broker of its own, and the steps of a worker."""

    def __init__(self) -> None:
        Transport.global_state.clear()
        Channel.queues.clear()  # shared by every connection of the process
        self.clock = ManualClock()
        self.app = Celery(f"harness{next(_numbers)}", broker="memory://", backend="cache+memory://")
        self.app.conf.task_publish_retry = False

    def step(self) -> Ran | None:
        """Run the next message, whatever its ETA; None when there is none."""
        with self.app.connection_for_read() as connection, connection.SimpleQueue("celery") as queue:
            try:
                message = queue.get(block=False)
            except queue.Empty:
                return None
            message.ack()
            task = self.app.tasks[message.headers["task"]]
            request = Request(message, app=self.app, task=task)
            request_dict = {**request.request_dict, "delivery_info": message.delivery_info}
            args, kwargs, embed = message.payload
            request_dict.update(embed)
            retval, info, _, _ = trace_task(task, request.id, args, kwargs, request_dict, app=self.app)
        if info is None:
            return Ran("SUCCESS", retval, dict(message.headers))
        return Ran(info.state, info.retval, dict(message.headers))

    def steps(self, most: int = 50) -> list[Ran]:
        """Run messages until there are none."""
        ran = []
        while (one := self.step()) is not None:
            ran.append(one)
            assert len(ran) <= most, "the messages never end"
        return ran
