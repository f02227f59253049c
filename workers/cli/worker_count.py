"""How many workers consume, for displays of a load."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import redis

from banking.ledger.worker_registry import WorkerRegistry
from config import queues
from workers.cli.readiness import consumers

_COUNT_SECONDS = 0.5


class WorkerCount:
    """How many workers consume transactions; asked often, looked up now and then.

    `alive` knows better than the registry which processes run: a killed one would stay on it for some seconds.
    """

    def __init__(self, registry: WorkerRegistry, alive: Callable[[], Sequence[int | None]] | None = None) -> None:
        self._registry = registry
        self._alive = alive
        self._at = float("-inf")
        self._count = 0

    def __call__(self) -> int:
        now = time.monotonic()
        if now - self._at >= _COUNT_SECONDS:
            self._count = self._look()
            self._at = now
        return self._count

    def _look(self) -> int:
        try:
            found = consumers(self._registry.consuming(), queues.TRANSACTIONS)
        except redis.RedisError:
            # Nobody can be seen; the load itself says what is wrong if it lasts.
            return 0
        pids = None if self._alive is None else set(self._alive())
        return sum(pids is None or worker.pid in pids for worker in found)
