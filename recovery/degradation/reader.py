"""The local snapshot: asked for on every call, renewed from the store at most every `max_age` seconds."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

import redis

from recovery.clock import Clock
from recovery.degradation.entries import Scope
from recovery.degradation.modes import DegradationMode
from recovery.degradation.snapshot import EMPTY, Snapshot, build
from recovery.degradation.store import Reply, Store

logger = logging.getLogger(__name__)

#: Seconds between attempts while the store is away: first, and at most.
MIN_PAUSE = 0.1
MAX_PAUSE = 0.5
#: Seconds between two warnings of the same outage.
WARN_EVERY = 10.0

Listener = Callable[[Scope, DegradationMode, DegradationMode], None]


class SnapshotReader:
    """Keeps one snapshot per process. Safe for threads and after a fork; starts no thread of its own.

    While the store is away the last snapshot goes on ruling, expiries included, since those need only the local
    monotonic clock. If the store comes back without the table (it lost its data), the snapshot is written back.
    """

    def __init__(self, store: Store, clock: Clock, max_age: float) -> None:
        self._store = store
        self._clock = clock
        self._max_age = max_age
        self._snapshot = EMPTY
        self._next_poll = float("-inf")
        self._pause = 0.0
        self._away_since: float | None = None
        self._warned_at = float("-inf")
        # Reentrant: a listener may set a mode.
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self.listeners: list[Listener] = []

    def current(self) -> Snapshot:
        """The snapshot, renewed first if it is older than `max_age`. Never raises because the store is away."""
        now = self._clock.monotonic()
        if now < self._next_poll:
            return self._snapshot
        return self._renew(now)

    def adopt(self, reply: Reply) -> Snapshot:
        """Take over the answer to this process's own write, so that it reads what it wrote."""
        self._renew_lock_after_fork()
        with self._lock:
            return self._accept(reply, self._clock.monotonic())

    @property
    def away_for(self) -> float | None:
        """Seconds since the store was first found away; None while it answers."""
        return None if self._away_since is None else self._clock.monotonic() - self._away_since

    def _renew_lock_after_fork(self) -> None:
        if self._pid != os.getpid():
            # A forked child may inherit the lock from a thread that does not exist here.
            self._lock, self._pid = threading.RLock(), os.getpid()

    def _renew(self, now: float) -> Snapshot:
        self._renew_lock_after_fork()
        # While another thread asks, the old copy serves; only the very first copy is worth waiting for.
        if not self._lock.acquire(blocking=self._snapshot is EMPTY):
            return self._snapshot
        try:
            if now < self._next_poll:
                return self._snapshot
            return self._poll(now)
        finally:
            self._lock.release()

    def _poll(self, now: float) -> Snapshot:
        try:
            reply = self._store.poll(self._snapshot.version)
            if self._lost(reply) and self._write_back(now):
                reply = self._store.poll(self._snapshot.version)
        except redis.RedisError as error:
            self._note_away(error)
            return self._snapshot
        return self._accept(reply, now)

    def _accept(self, reply: Reply, asked_at: float) -> Snapshot:
        # Dated from before the question: a copy is never older than it looks, and entries expire here at most one
        # round trip early.
        old = self._snapshot
        if reply.fields is None:
            self._snapshot = old.at(reply.server_ms, asked_at)
        else:
            self._snapshot = build(reply.version, reply.server_ms, asked_at, reply.fields)
        self._next_poll = asked_at + self._max_age
        self._note_back()
        if reply.fields is not None:
            self._announce(old, self._snapshot)
        return self._snapshot

    def _lost(self, reply: Reply) -> bool:
        mine = self._snapshot
        if not mine.version or reply.fields is None or reply.version.rpartition(":")[0] == mine.identity:
            return False
        if not reply.version:
            return True
        restored = reply.fields.get("restored")
        if restored is not None:
            return int(restored) < mine.revision
        logger.warning("degradation: the modes in Redis were lost and set anew; the older ones are dropped here too")
        return False

    def _write_back(self, now: float) -> bool:
        mine = self._snapshot
        ruling = [entry for entry in mine.entries.values() if entry.ruling_at(mine.now_ms(now))]
        written = self._store.restore(mine.revision, {entry.field: entry.value for entry in ruling})
        if written:
            logger.warning("degradation: Redis had lost the modes; wrote back revision %d", mine.revision)
        return written

    def _note_away(self, error: redis.RedisError) -> None:
        now = self._clock.monotonic()
        self._pause = min(self._pause * 2 or MIN_PAUSE, MAX_PAUSE)
        self._next_poll = now + self._pause
        if self._away_since is None:
            self._away_since = now
        if now - self._warned_at >= WARN_EVERY:
            self._warned_at = now
            known = "the last known modes" if self._snapshot is not EMPTY else "NORMAL, since no modes were ever read,"
            logger.warning(
                "degradation: Redis is away for %.1f s (%s); %s rule here", now - self._away_since, error, known
            )

    def _note_back(self) -> None:
        self._pause = 0.0
        if self._away_since is not None:
            away = self._clock.monotonic() - self._away_since
            logger.warning("degradation: Redis is back after %.1f s", away)
            self._away_since, self._warned_at = None, float("-inf")

    def _announce(self, old: Snapshot, new: Snapshot) -> None:
        for scope in sorted({*old.scopes(), *new.scopes()}, key=str):
            was = old.mode(scope, old.now_ms(new.taken_at)) if old is not EMPTY else DegradationMode.NORMAL
            now = new.mode(scope, new.server_ms)
            if was == now:
                continue
            logger.info("degradation: %s went from %s to %s", scope, was.name, now.name)
            for listener in self.listeners:
                try:
                    listener(scope, was, now)
                except Exception:
                    logger.exception("degradation: a listener failed")
