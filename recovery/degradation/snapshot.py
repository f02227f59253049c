"""A copy of the whole table at one moment, and the questions it answers without asking anybody."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from recovery.degradation.entries import ALL_OPERATIONS, SYSTEM, Entry, Scope, decode_entry
from recovery.degradation.errors import UnknownMode
from recovery.degradation.modes import DegradationMode

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The entries as the server had them at `server_ms`; `taken_at` is the local monotonic time of that answer."""

    version: str
    server_ms: int
    taken_at: float
    entries: Mapping[str, Entry]
    restored_from: int | None = None
    _by_scope: Mapping[Scope, tuple[Entry, ...]] = field(default_factory=dict)

    def at(self, server_ms: int, taken_at: float) -> Snapshot:
        """The same table, confirmed to be still current."""
        return Snapshot(self.version, server_ms, taken_at, self.entries, self.restored_from, self._by_scope)

    @property
    def revision(self) -> int:
        """The number of changes so far; 0 for an empty table."""
        return int(self.version.rpartition(":")[2] or 0)

    @property
    def identity(self) -> str:
        """Which table this is a copy of; another one after Redis lost it."""
        return self.version.rpartition(":")[0]

    def now_ms(self, monotonic: float) -> float:
        """The server's time when the local monotonic clock shows `monotonic`: no wall clock takes part."""
        return self.server_ms + (monotonic - self.taken_at) * 1000

    def matching(self, scope: Scope, now_ms: float) -> list[Entry]:
        """The entries that rule `scope` now, strictest first, operators before rules."""
        found = [
            entry
            for candidate in _covering(scope)
            for entry in self._by_scope.get(candidate, ())
            if entry.ruling_at(now_ms)
        ]
        return sorted(found, key=lambda entry: (-entry.mode, not entry.manual))

    def mode(self, scope: Scope, now_ms: float) -> DegradationMode:
        """The strictest mode of all entries that cover `scope`."""
        strictest = DegradationMode.NORMAL
        for candidate in _covering(scope):
            for entry in self._by_scope.get(candidate, ()):
                if entry.mode > strictest and entry.ruling_at(now_ms):
                    strictest = entry.mode
        return strictest

    def scopes(self) -> list[Scope]:
        """Every scope that some entry names."""
        return sorted(self._by_scope, key=str)


@lru_cache(maxsize=256)
def _covering(scope: Scope) -> tuple[Scope, ...]:
    """The scopes whose entries rule `scope`: itself, all its operations, and the same of the system."""
    wider = (Scope(scope.component), Scope(SYSTEM))
    if scope.operation == ALL_OPERATIONS:
        return wider if scope.component != SYSTEM else wider[:1]
    if scope.component == SYSTEM:
        return (scope, wider[1])
    return (scope, Scope(SYSTEM, scope.operation), *wider)


EMPTY = Snapshot(version="", server_ms=0, taken_at=float("-inf"), entries={})


def build(version: str, server_ms: int, taken_at: float, fields: Mapping[str, str]) -> Snapshot:
    """A snapshot from the table's raw fields. An unreadable entry is left out and said loudly."""
    entries: dict[str, Entry] = {}
    for name, value in fields.items():
        try:
            entry = decode_entry(name, value)
        except (ValueError, UnknownMode):
            logger.exception("degradation: ignoring unreadable entry %r = %r", name, value)
            continue
        if entry is not None:
            entries[name] = entry
    restored = fields.get("restored")
    return Snapshot(
        version=version,
        server_ms=server_ms,
        taken_at=taken_at,
        entries=entries,
        restored_from=None if restored is None else int(restored),
        _by_scope=_index(entries.values()),
    )


def _index(entries: Iterable[Entry]) -> dict[Scope, tuple[Entry, ...]]:
    index: dict[Scope, tuple[Entry, ...]] = {}
    for entry in entries:
        index[entry.scope] = (*index.get(entry.scope, ()), entry)
    return index
