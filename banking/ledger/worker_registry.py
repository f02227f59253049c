"""The registry of workers: each writes a heartbeat to Redis every second, from the loop that consumes.

Celery's remote control answers the same question by a broadcast and a wait for whoever may answer; this is one
read, and a worker whose event loop hangs is not in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis

from banking.ledger.keys import LedgerKeys
from banking.ledger.ledger import Ledger
from banking.ledger.scripts import HEARTBEAT, LUA

#: Seconds between two heartbeats, and until a worker without one is no longer counted.
INTERVAL = 1.0
MAX_AGE = 5.0


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker and what it consumes; `waits` says why it takes nothing yet, "" when it does.

    `at` is Redis time in seconds; `epoch` is the ledger's, None without a ledger.
    """

    name: str
    pid: int
    queues: tuple[str, ...]
    epoch: int | None
    at: float
    waits: str = ""


class WorkerRegistry:
    """The workers of one ledger. Raises what redis-py raises."""

    def __init__(self, client: redis.Redis, ledger: str) -> None:
        self._client = client
        self._keys = LedgerKeys(ledger)
        self.key = self._keys.workers

    @classmethod
    def of(cls, ledger: Ledger) -> WorkerRegistry:
        """The registry of the workers that serve `ledger`."""
        return cls(ledger.client, ledger.name)

    def heartbeat(self, name: str, pid: int, queues: Sequence[str]) -> None:
        """Record that worker `name` consumes `queues`."""
        self._write(name, {"pid": pid, "queues": list(queues)})

    def report_waiting(self, name: str, pid: int, why: str) -> None:
        """Record that worker `name` lives and takes no messages, and why."""
        self._write(name, {"pid": pid, "queues": [], "waits": why})

    def _write(self, name: str, record: dict[str, Any]) -> None:
        before = json.dumps(record)[:-1] + ', "epoch": '
        names = HEARTBEAT.key_names(self._keys, None)
        LUA[HEARTBEAT.name](self._client, names, [name, before, "}", int(MAX_AGE * 1000)])

    def deregister(self, name: str) -> None:
        """Remove worker `name`, which consumes no more."""
        self._client.hdel(self.key, name)

    def consuming(self) -> list[WorkerStatus]:
        """The workers that consume, by name."""
        return [worker for worker in self.live() if not worker.waits]

    def live(self) -> list[WorkerStatus]:
        """The workers that live, by name, those that wait for something among them."""
        pipe = self._client.pipeline(transaction=False)
        pipe.time()
        pipe.hgetall(self.key)
        (seconds, micros), found = pipe.execute()
        now = seconds + micros / 1e6
        workers = (_status(name.decode(), value) for name, value in sorted(found.items()))
        # A heartbeat from the future was written before the server's clock was set back.
        return [worker for worker in workers if abs(now - worker.at) <= MAX_AGE]


def _status(name: str, value: bytes) -> WorkerStatus:
    at, record = value.split(b":", 1)
    fields = json.loads(record)
    return WorkerStatus(
        name, fields["pid"], tuple(fields["queues"]), fields["epoch"], int(at) / 1000, fields.get("waits", "")
    )
