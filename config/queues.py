"""Queues, task names and routes: the names that producers and workers share."""

from __future__ import annotations

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


def queue_objects() -> list[Queue]:
    """The kombu queues; each has a direct exchange of its own name."""
    return [Queue(name, Exchange(name, type="direct"), routing_key=name) for name in (TRANSACTIONS, MAINTENANCE)]
