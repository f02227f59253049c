"""Boot step of a worker: its heartbeat in the registry of workers."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import redis
from celery import bootsteps

from banking.ledger.worker_registry import INTERVAL, WorkerRegistry
from config.settings import Settings, get_settings
from recovery.connections import connect

logger = logging.getLogger(__name__)

#: Seconds that a heartbeat may hold up the worker's event loop when Redis is silent.
PATIENCE = 0.5


class RegistryWriter:
    """Writes to the registry of this process's ledger; without Redis it logs a warning, and that once."""

    def __init__(self) -> None:
        self._registry: WorkerRegistry | None = None
        self._silenced = False

    def write(self, change: Callable[[WorkerRegistry], None]) -> None:
        """Raises ConfigurationError when no Redis is known."""
        if self._registry is None:
            self._registry = _open_registry(get_settings())
        try:
            change(self._registry)
        except redis.RedisError as error:
            if not self._silenced:
                logger.warning("Cannot show this worker in `trunkline status` (%s); going on", error)
            self._silenced = True
        else:
            self._silenced = False


class HeartbeatStep(bootsteps.StartStopStep):
    """Consumer boot step: keeps the worker in the registry for as long as its event loop turns.

    A timer of that loop, so it stops with the consumer (no broker, a hanging loop) and needs no thread.
    """

    # After the ledger is verified: a worker that waits for a restore does not count as one that consumes.
    requires = ("celery.worker.consumer:Tasks", "workers.bootsteps.restore:EnsureLedger")

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer: Any = None
        self._registry = RegistryWriter()

    def start(self, consumer: Any) -> None:
        self.send_heartbeat(consumer)
        self._timer = consumer.timer.call_repeatedly(INTERVAL, self.send_heartbeat, (consumer,))

    def stop(self, consumer: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._registry.write(lambda registry: registry.deregister(consumer.hostname))

    shutdown = stop

    def send_heartbeat(self, consumer: Any) -> None:
        """Record that the worker lives, and what it consumes now."""
        queues = [queue.name for queue in consumer.task_consumer.queues]
        self._registry.write(lambda registry: registry.heartbeat(consumer.hostname, os.getpid(), queues))


def _open_registry(settings: Settings) -> WorkerRegistry:
    client = connect(settings.ledger_url(), timeout=min(PATIENCE, settings.redis.timeout))
    return WorkerRegistry(client, settings.ledger.name)
