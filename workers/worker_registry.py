"""Which workers consume just now: each says so in Redis every second, from the loop that consumes.

Celery's remote control answers the same question by a broadcast and a wait for whoever may answer; this is one
read, and a worker whose event loop hangs is not in it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from celery import bootsteps

from banking.ledger.keys import LedgerKeys
from config.settings import Settings, get_settings
from recovery.connections import connect
from recovery.scripts import LuaScript

logger = logging.getLogger(__name__)

#: Seconds between two signs of life, and until a worker without one is no longer counted.
INTERVAL = 1.0
LONGEST_AGE = 5.0
#: Seconds that a sign of life may hold up the worker's event loop when Redis is silent.
PATIENCE = 0.5

_BEAT = LuaScript(Path(__file__).parent / "lua" / "presence.lua")


@dataclass(frozen=True, slots=True)
class Presence:
    """A worker and what it consumes; `waits` says why it takes nothing yet, "" when it does.

    `at` is Redis time in seconds; `epoch` is the ledger's, None without a ledger.
    """

    name: str
    pid: int
    queues: tuple[str, ...]
    epoch: int | None
    at: float
    waits: str = ""


class PresenceBoard:
    """The workers of one ledger. Raises what redis-py raises."""

    def __init__(self, client: redis.Redis, ledger: str) -> None:
        keys = LedgerKeys(ledger)
        self._client = client
        self._meta = keys.meta
        #: Hash: worker name to `time (ms):JSON record`.
        self.key = f"{keys.prefix}:workers"

    def beat(self, name: str, pid: int, queues: Sequence[str]) -> None:
        """Say that worker `name` consumes `queues`."""
        self._write(name, {"pid": pid, "queues": list(queues)})

    def wait(self, name: str, pid: int, why: str) -> None:
        """Say that worker `name` lives and takes nothing, and why."""
        self._write(name, {"pid": pid, "queues": [], "waits": why})

    def _write(self, name: str, record: dict[str, Any]) -> None:
        before = json.dumps(record)[:-1] + ', "epoch": '
        _BEAT(self._client, [self.key, self._meta], [name, before, "}", int(LONGEST_AGE * 1000)])

    def leave(self, name: str) -> None:
        """Say that worker `name` consumes no more."""
        self._client.hdel(self.key, name)

    def workers(self) -> list[Presence]:
        """Who consumes, by name."""
        return [one for one in self.everybody() if not one.waits]

    def everybody(self) -> list[Presence]:
        """Who lives, by name, those who wait for something among them."""
        pipe = self._client.pipeline(transaction=False)
        pipe.time()
        pipe.hgetall(self.key)
        (seconds, micros), found = pipe.execute()
        now = seconds + micros / 1e6
        everybody = (_presence(name.decode(), value) for name, value in sorted(found.items()))
        # A sign of a time to come was given before the server's clock was set back.
        return [one for one in everybody if abs(now - one.at) <= LONGEST_AGE]


def _presence(name: str, value: bytes) -> Presence:
    at, record = value.split(b":", 1)
    fields = json.loads(record)
    return Presence(
        name, fields["pid"], tuple(fields["queues"]), fields["epoch"], int(at) / 1000, fields.get("waits", "")
    )


class Teller:
    """Says something on the board of this process's ledger; without Redis only a warning, and that once."""

    def __init__(self) -> None:
        self._board: PresenceBoard | None = None
        self._silenced = False

    def tell(self, say: Callable[[PresenceBoard], None]) -> None:
        """Raises ConfigurationError when no Redis is known."""
        if self._board is None:
            self._board = _board(get_settings())
        try:
            say(self._board)
        except redis.RedisError as error:
            if not self._silenced:
                logger.warning("Cannot show this worker in `trunkline status` (%s); going on", error)
            self._silenced = True
        else:
            self._silenced = False


class PresenceStep(bootsteps.StartStopStep):
    """Consumer boot step: shows the worker on the board for as long as its event loop turns.

    A timer of that loop, so it stops with the consumer (no broker, a hanging loop) and needs no thread.
    """

    # After the ledger is verified: a worker that waits for a restore does not count as one that consumes.
    requires = ("celery.worker.consumer:Tasks", "workers.bootsteps.restore:EnsureLedger")

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer: Any = None
        self._teller = Teller()

    def start(self, consumer: Any) -> None:
        self.beat(consumer)
        self._timer = consumer.timer.call_repeatedly(INTERVAL, self.beat, (consumer,))

    def stop(self, consumer: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._teller.tell(lambda board: board.leave(consumer.hostname))

    shutdown = stop

    def beat(self, consumer: Any) -> None:
        """One sign of life."""
        queues = [queue.name for queue in consumer.task_consumer.queues]
        self._teller.tell(lambda board: board.beat(consumer.hostname, os.getpid(), queues))


def _board(settings: Settings) -> PresenceBoard:
    client = connect(settings.ledger_url(), timeout=min(PATIENCE, settings.redis_timeout))
    return PresenceBoard(client, settings.ledger)
