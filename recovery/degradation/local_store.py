"""The table of modes in this process's memory: for use without Redis, and the scripts' twin in contract tests."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence

from recovery.clock import Clock
from recovery.degradation.entries import decode_entry, encode_value
from recovery.degradation.modes import DegradationMode
from recovery.degradation.store import ANY, Change, Reply

NORMAL = DegradationMode.NORMAL.name


class LocalStore:
    """The behaviour of `degradation_sync.lua`, line for line, on a dictionary. Safe for threads."""

    def __init__(self, clock: Clock, *, audit_limit: int) -> None:
        self._clock = clock
        # Setting the machine's clock must not stretch or end anything.
        self._origin = clock.time() - clock.monotonic()
        self._fields: dict[str, str] = {}
        self._revision = 0
        self._audit: deque[Mapping[str, str]] = deque(maxlen=audit_limit)
        self._lock = threading.Lock()

    def sync(self, known: str, changes: Sequence[Change] = (), cause: str = "set") -> Reply:
        with self._lock:
            now = round((self._origin + self._clock.monotonic()) * 1000)
            expired = self._purge(now)
            applied = sum(self._apply(change, cause, now) for change in changes)
            if expired + applied:
                self._revision += 1
            version = f"local:{self._revision}" if self._revision else ""
            return Reply(version, now, applied, None if version == known else dict(self._fields))

    def poll(self, known: str) -> Reply:
        return self.sync(known)

    def restore(self, revision: int, fields: Mapping[str, str]) -> bool:
        with self._lock:
            if self._revision:
                return False
            self._fields, self._revision = dict(fields), revision + 1
            return True

    def history(self, limit: int) -> list[Mapping[str, str]]:
        return list(self._audit)[: -limit - 1 : -1]

    def _purge(self, now: int) -> int:
        expired = 0
        for field, value in list(self._fields.items()):
            entry = decode_entry(field, value)
            if entry is not None and not entry.ruling_at(now):
                del self._fields[field]
                self._record("expired", Change(field, "", entry.detail), entry.mode.name, 0, now)
                expired += 1
        return expired

    def _apply(self, change: Change, cause: str, now: int) -> int:
        old = self._fields.get(change.field)
        if change.expected not in (ANY, old or ""):
            return 0
        was = old.split(" ", 1)[0] if old else NORMAL
        if not change.mode:
            if old is None:
                return 0
            del self._fields[change.field]
            self._record(cause, change, was, 0, now)
            return 1
        if old is not None and was == change.mode and old.split(" ", 3)[3] == change.detail:
            return 0
        expires = now + change.lifetime_ms if change.lifetime_ms else 0
        self._fields[change.field] = encode_value(DegradationMode[change.mode], expires, now, change.detail)
        if was != change.mode or cause != "rule":
            self._record(cause, change, was, expires, now)
        return 1

    def _record(self, cause: str, change: Change, was: str, expires: int, now: int) -> None:
        record = {"at": str(now), "cause": cause, "field": change.field, "from": was, "to": change.mode or NORMAL}
        self._audit.append({**record, "expires": str(expires), "detail": change.detail})
