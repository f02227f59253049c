"""Whether an instance is ready: workers consume transactions and maintenance."""

from __future__ import annotations

import redis

from banking.ledger.worker_registry import WorkerRegistry, WorkerStatus
from config import queues
from config.settings import Settings
from recovery.connections import connect


def consumers(workers: list[WorkerStatus], queue: str) -> list[WorkerStatus]:
    """Those of `workers` that consume `queue`."""
    return [worker for worker in workers if queue in worker.queues]


class Readiness:
    """Reads the registry of workers, as often as the caller likes. A Redis that does not answer means not yet."""

    def __init__(self, settings: Settings, redis_url: str, *, transaction_workers: int = 1) -> None:
        self._registry = WorkerRegistry(connect(redis_url, timeout=settings.redis.timeout), settings.ledger.name)
        self._wanted = transaction_workers
        self.shown = ""
        self.missing = "nothing was asked yet"

    def reached(self) -> bool:
        """True once enough transaction workers and a maintenance worker consume; else `missing` says what lacks."""
        try:
            workers = self._registry.consuming()
        except redis.RedisError as error:
            self.missing = f"Redis does not answer: {error}"
            return False
        working = len(consumers(workers, queues.TRANSACTIONS))
        keeping = len(consumers(workers, queues.MAINTENANCE))
        self.shown = f"{_counted(working, 'transaction worker')} and {_counted(keeping, 'maintenance worker')} consume"
        self.missing = f"{working} of {self._wanted} transaction workers and {keeping} of 1 maintenance worker consume"
        return working >= self._wanted and keeping >= 1


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
