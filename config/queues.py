"""Queues, task names and routes: the names that producers and workers share."""

from __future__ import annotations

from typing import Any

from kombu import Exchange, Queue

TRANSACTIONS = "transactions"
MAINTENANCE = "maintenance"

PROCESS = "transactions.process"
PROCESS_BATCH = "transactions.process_batch"
SWEEP = "transactions.sweep"
SEAL = "blocks.seal"
CREATE_CHECKPOINT = "checkpoints.create"
SCRUB_CHECKPOINTS = "checkpoints.scrub"
EVALUATE_HEALTH = "health.evaluate"

#: Task name to queue. Everything that is not a transaction is maintenance.
ROUTES: dict[str, dict[str, str]] = {
    PROCESS: {"queue": TRANSACTIONS},
    PROCESS_BATCH: {"queue": TRANSACTIONS},
    SWEEP: {"queue": MAINTENANCE},
    "blocks.*": {"queue": MAINTENANCE},
    "checkpoints.*": {"queue": MAINTENANCE},
    "health.*": {"queue": MAINTENANCE},
}


def queue_objects(*, quorum: bool = False) -> list[Queue]:
    """The kombu queues; each has an exchange of its own.

    With `quorum` they are RabbitMQ's replicated queues. Their exchanges are topics then, because those by which
    RabbitMQ itself holds messages with a countdown can pass them to no direct one; and they have other names, because
    any Celery client that is told of a queue declares a direct exchange of the queue's name.
    """
    if not quorum:
        return [Queue(name, Exchange(name, type="direct"), routing_key=name) for name in (TRANSACTIONS, MAINTENANCE)]
    return [
        Queue(
            name, Exchange(f"{name}-topic", type="topic"), routing_key=name, queue_arguments={"x-queue-type": "quorum"}
        )
        for name in (TRANSACTIONS, MAINTENANCE)
    ]


def waiting_messages(channel: Any, queue: str) -> int:
    """How many messages wait in `queue`. Raises ChannelError where there is none, and what kombu raises."""
    declared: Any = Queue(queue, channel=channel).queue_declare(passive=True)
    return int(declared.message_count)
