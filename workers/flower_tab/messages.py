"""What Flower has seen of batches: which task, by which worker, brought an outcome."""

from __future__ import annotations

import re
from typing import Any

from banking.execution.places import places_in
from config.queues import PROCESS, PROCESS_BATCH
from workers.overview.trace import Message

_ACCEPTED = re.compile(r"'enqueued_at': (\d+)")
#: Batches that are looked through, the newest first.
MOST = 20_000


def batches(state: Any) -> list[tuple[str, str, Any]]:
    """Id, result and task of the batches that Flower knows, newest first. To be called in Flower's event loop."""
    found = []
    for uuid, task in state.tasks_by_time(limit=MOST):
        if task.name in (PROCESS, PROCESS_BATCH):
            found.append((uuid, result_text(task), task))
    return found


def result_text(task: Any) -> str:
    """What a task came to, or why it failed."""
    return str(task.exception if task.state == "FAILURE" else task.result or "")


def find_message(known: list[tuple[str, str, Any]], slot: int, seq: int) -> Message | None:
    """The batch among `known` that the outcome `seq` of `slot` came from."""
    mark = f"slot {slot}: "
    for uuid, text, task in known:
        if mark in text and any(place.slot == slot and seq in place for place in places_in(text)):
            accepted = _ACCEPTED.search(str(task.kwargs or ""))
            at = int(accepted[1]) / 1000 if accepted and int(accepted[1]) else None
            worker = task.worker.hostname if task.worker is not None else "unknown"
            return Message(uuid, worker, at, task.received, task.succeeded or task.failed)
    return None
