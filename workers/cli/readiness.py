"""Whether an instance does its work: somebody consumes transactions, somebody keeps the house."""

from __future__ import annotations

import redis

from config import queues
from config.settings import Settings
from recovery.connections import connect
from workers.worker_registry import Presence, PresenceBoard


def consumers(workers: list[Presence], queue: str) -> list[Presence]:
    """Those of `workers` that consume `queue`."""
    return [worker for worker in workers if queue in worker.queues]


class Readiness:
    """Asks the board, as often as the caller likes. A Redis that does not answer means not yet."""

    def __init__(self, settings: Settings, redis_url: str, *, transaction_workers: int = 1) -> None:
        self._board = PresenceBoard(connect(redis_url, timeout=settings.redis_timeout), settings.ledger)
        self._wanted = transaction_workers
        self.shown = ""
        self.missing = "nothing was asked yet"

    def reached(self) -> bool:
        """True once enough transaction workers and a maintenance worker consume; else `missing` says what lacks."""
        try:
            workers = self._board.workers()
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
