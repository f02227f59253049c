"""How many workers consume, for displays of a load."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import redis

from config import queues
from workers.cli.readiness import consumers
from workers.worker_registry import PresenceBoard

_COUNT_SECONDS = 0.5


class WorkerCount:
    """How many workers consume transactions; asked often, looked up now and then.

    `alive` knows better than the board which processes run: a killed one would stay on it for some seconds.
    """

    def __init__(self, board: PresenceBoard, alive: Callable[[], Sequence[int | None]] | None = None) -> None:
        self._board = board
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
            found = consumers(self._board.workers(), queues.TRANSACTIONS)
        except redis.RedisError:
            # Nobody can be seen; the load itself says what is wrong if it lasts.
            return 0
        pids = None if self._alive is None else set(self._alive())
        return sum(pids is None or worker.pid in pids for worker in found)
