"""The state of everything as plain data, ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from recovery.degradation.entries import ALL_OPERATIONS, SYSTEM, Entry, Scope
from recovery.degradation.modes import OperationType
from recovery.degradation.snapshot import Snapshot


class EntryStatus(TypedDict):
    """One entry in force. `expires_in` is seconds, None for never."""

    component: str
    operation: str
    mode: str
    automatic: bool
    rule: str
    actor: str
    reason: str
    expires_in: float | None


class ComponentStatus(TypedDict):
    """A component's mode, and those operation types that have a mode of their own."""

    mode: str
    operations: dict[str, str]


class SystemStatus(TypedDict):
    """`age` is the snapshot's in seconds; `redis_away_for` is None while Redis answers (or none is used)."""

    system: str
    components: dict[str, ComponentStatus]
    entries: list[EntryStatus]
    revision: int
    age: float
    redis_away_for: float | None


def system_status(
    snapshot: Snapshot,
    now_ms: float,
    age: float,
    away_for: float | None,
    declared: Mapping[str, tuple[OperationType, ...]],
) -> SystemStatus:
    """The status that `snapshot` shows at the server time `now_ms`."""
    names = {*declared, *(scope.component for scope in snapshot.scopes())} - {SYSTEM}
    ruling = [entry for _, entry in sorted(snapshot.entries.items()) if entry.ruling_at(now_ms)]
    return SystemStatus(
        system=snapshot.mode(Scope(SYSTEM), now_ms).name,
        components={name: _component(snapshot, name, now_ms) for name in sorted(names)},
        entries=[entry_status(entry, now_ms) for entry in ruling],
        revision=snapshot.revision,
        age=age,
        redis_away_for=away_for,
    )


def _component(snapshot: Snapshot, name: str, now_ms: float) -> ComponentStatus:
    own = snapshot.mode(Scope(name), now_ms)
    operations = {
        kind.value: mode.name
        for kind in OperationType
        if (mode := snapshot.mode(Scope(name, kind.value), now_ms)) != own
    }
    return ComponentStatus(mode=own.name, operations=operations)


def entry_status(entry: Entry, now_ms: float) -> EntryStatus:
    """`entry` as plain data at the server time `now_ms`."""
    notes = entry.notes
    return EntryStatus(
        component=entry.scope.component,
        operation="" if entry.scope.operation == ALL_OPERATIONS else entry.scope.operation,
        mode=entry.mode.name,
        automatic=not entry.manual,
        rule=entry.rule,
        actor=str(notes.get("actor", "")),
        reason=str(notes.get("reason", "")),
        expires_in=max(0.0, (entry.expires_ms - now_ms) / 1000) if entry.expires_ms else None,
    )
