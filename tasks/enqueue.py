"""Putting transactions into Celery messages."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from celery import Celery

from config.queues import PROCESS_BATCH


def enqueue(app: Celery, raws: Sequence[bytes], *, batch_size: int, enqueued_at: int = 0, isolate: bool = False) -> int:
    """Publish `raws` in messages of `batch_size`; returns how many messages.

    `enqueued_at` is Redis time in milliseconds, `isolate` asks the worker to run them one by one. Raises kombu's
    OperationalError when the broker is away: what intake holds is enqueued later by the sweeper.
    """
    messages = 0
    with app.producer_or_acquire() as producer:
        for first in range(0, len(raws), batch_size):
            texts = [base64.b64encode(raw).decode() for raw in raws[first : first + batch_size]]
            app.send_task(
                PROCESS_BATCH,
                args=(texts,),
                kwargs={"enqueued_at": enqueued_at, "isolate": isolate},
                producer=producer,
                # Flower shows this instead of 64 transactions in base64.
                argsrepr=f"({len(texts)} transactions)",
            )
            messages += 1
    return messages
