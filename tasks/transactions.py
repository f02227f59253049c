"""The transaction tasks: one at a time, in batches, and the sweep that brings back what went missing."""

from __future__ import annotations

import logging
from typing import Any

from kombu import Queue
from kombu.exceptions import ChannelError

from config.app import app
from config.queues import PROCESS, PROCESS_BATCH, SWEEP, TRANSACTIONS
from tasks import transaction_log
from tasks.base import TransactionTask
from tasks.enqueue import enqueue, enqueue_batches
from tasks.errors import LEDGER_AWAY
from tasks.messages import BatchMessage
from tasks.runtime import runtime

logger = logging.getLogger(__name__)


@app.task(name=PROCESS, base=TransactionTask, bind=True)
def process(self: TransactionTask, transaction: str) -> str:
    """Execute one signed transaction (base64). Any Celery client may send this by name."""
    return self.process_batch(BatchMessage.parse([transaction]))


@app.task(name=PROCESS_BATCH, base=TransactionTask, bind=True)
def process_batch(
    self: TransactionTask,
    transactions: list[str],
    enqueued_at: int = 0,
    isolate: bool = False,
    batch: str = "",
    count: int = 0,
) -> str:
    """Execute signed transactions (base64 each), or the `count` that intake holds as `batch` (an id in hexadecimal).

    `enqueued_at` is Redis time in milliseconds.
    """
    return self.process_batch(BatchMessage.parse(transactions, enqueued_at, isolate, batch, count))


@app.task(name=SWEEP, throws=LEDGER_AWAY)
def sweep() -> dict[str, int]:
    """Re-enqueue accepted transactions that no message speaks for, and parked ones whose time has come."""
    parts = runtime()
    settings = parts.settings
    found = parts.intake.sweep(grace=settings.sweep.grace, queue_empty=_queue_is_empty(), limit=settings.sweep.limit)
    for raws, why in ((found.released, "released"), (found.lost, "lost"), (found.suspects, "suspect")):
        transaction_log.brought_back(raws, why)
        enqueue(app, raws, batch_size=settings.intake.batch_size, enqueued_at=found.at, isolate=why == "suspect")
    enqueue_batches(app, [(batch.id, batch.count) for batch in found.batches], enqueued_at=found.at)
    lost = len(found.lost) + sum(batch.count for batch in found.batches)
    if lost or found.suspects:
        logger.warning(
            "Re-enqueued %d transactions whose messages were lost, %d of them again",
            lost + len(found.suspects),
            len(found.suspects),
        )
    return {"released": len(found.released), "lost": lost, "suspects": len(found.suspects)}


def _queue_is_empty() -> bool:
    with app.connection_for_read() as connection:
        try:
            queue = Queue(TRANSACTIONS, channel=connection.default_channel)
            declared: Any = queue.queue_declare(passive=True)
            return bool(declared.message_count == 0)
        except ChannelError:
            # The broker knows of no such queue: nothing waits in it.
            return True
