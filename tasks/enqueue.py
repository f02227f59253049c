"""Putting transactions into Celery messages."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import redis
from celery import Celery
from kombu.exceptions import KombuError

from config.queues import PROCESS_BATCH, SEAL
from recovery.errors import TransientError
from tasks.messages import BatchMessage

logger = logging.getLogger(__name__)

#: Seconds after which the request says nothing any more; longer than clocks differ.
_SEAL_EXPIRES = 300.0


class BrokerUnavailable(TransientError):
    """The broker did not take the messages. What intake holds is enqueued later by the sweeper."""


def enqueue(app: Celery, raws: Sequence[bytes], *, batch_size: int, enqueued_at: int = 0, isolate: bool = False) -> int:
    """Publish `raws` in messages of `batch_size`; returns how many messages.

    `enqueued_at` is Redis time in milliseconds, `isolate` asks the worker to run them one by one. Raises
    BrokerUnavailable when the broker is away or out of memory.
    """
    messages = [
        BatchMessage.of(raws[first : first + batch_size], enqueued_at=enqueued_at, isolate=isolate)
        for first in range(0, len(raws), batch_size)
    ]
    _publish(app, messages)
    return len(messages)


def enqueue_batches(app: Celery, batches: Sequence[tuple[bytes, int]], *, enqueued_at: int = 0) -> None:
    """Publish a message for each batch of intake: its id, and of how many transactions. Raises BrokerUnavailable."""
    _publish(app, [BatchMessage.of_batch(batch, count, enqueued_at=enqueued_at) for batch, count in batches])


def request_seal(app: Celery) -> None:
    """Have the open slot sealed before its time, because it is full. Beat asks soon in any case."""
    try:
        with app.producer_or_acquire() as producer:
            app.send_task(SEAL, producer=producer, expires=_SEAL_EXPIRES)
    except (KombuError, redis.RedisError, OSError) as error:
        logger.info("The seal of the full slot was not requested: %s", error)


def _publish(app: Celery, messages: Sequence[BatchMessage]) -> None:
    try:
        with app.producer_or_acquire() as producer:
            for message in messages:
                app.send_task(PROCESS_BATCH, producer=producer, **message.send_options())
    except (KombuError, redis.RedisError, OSError) as error:
        # kombu wraps what it knows as a lost connection; a server that is full answers with an error of its own.
        raise BrokerUnavailable(f"the broker did not take the messages: {error}") from error
