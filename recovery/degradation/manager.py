"""The degradation manager: what may run now, decided for the whole fleet."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import redis as redis_py

from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.connections import connect
from recovery.degradation.audit import AuditEntry, decode_audit
from recovery.degradation.entries import MANUAL, SYSTEM, Entry, Scope, field_name, valid_name
from recovery.degradation.errors import ModesUnavailable, OperationRefused
from recovery.degradation.explain import Explanation, explain
from recovery.degradation.local_store import LocalStore
from recovery.degradation.modes import ADMINISTRATIVE, DegradationMode, OperationType, is_allowed
from recovery.degradation.reader import Listener, SnapshotReader
from recovery.degradation.snapshot import Snapshot
from recovery.degradation.status import SystemStatus, system_status
from recovery.degradation.store import Change, RedisStore, Reply, Store, TableDump

Operation = OperationType | str


class DegradationManager:
    """Modes per component, per operation type within it, and for the whole system (the component "system").

    What rules an operation is the strictest of all that cover it: automatic and manual, system and component.
    With `redis` (a redis-py client or a URL) the modes are shared under `namespace`; without, they are this
    process's own. Reads are answered from a snapshot at most `max_age` seconds old; renewing it waits at most
    `poll_timeout` seconds for a connection and as long again for the reply.
    `retry_after` is the wait that a refusal suggests. `server_time` (seconds) stands in for the server's clock in
    tests.
    """

    def __init__(
        self,
        redis: redis_py.Redis | str | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        namespace: str = "degradation",
        max_age: float = 0.1,
        poll_timeout: float = 0.1,
        retry_after: float = 5.0,
        audit_limit: int = 10_000,
        server_time: Callable[[], float] | None = None,
    ) -> None:
        self._store: Store
        if redis is None:
            self._store = LocalStore(clock, audit_limit=audit_limit)
        else:
            self._store = RedisStore(
                connect(redis) if isinstance(redis, str) else redis,
                namespace,
                audit_limit=audit_limit,
                poll_timeout=poll_timeout,
                server_time=server_time,
            )
        self._clock = clock
        self._retry_after = retry_after
        self._reader = SnapshotReader(self._store, clock, max_age)
        self._declared: dict[str, tuple[OperationType, ...]] = {}

    # Asking

    def get_component_mode(self, component: str, operation: Operation | None = None) -> DegradationMode:
        """The mode that rules `component`, or one operation type of it. Raises InvalidName, UnknownOperation."""
        return self._mode(Scope.of(component, operation))

    def is_operation_allowed(self, component: str, operation: Operation) -> bool:
        """Whether `component` may do `operation` now. Raises InvalidName, UnknownOperation."""
        kind = OperationType.parse(operation)
        return kind in ADMINISTRATIVE or is_allowed(self._mode(Scope.of(component, kind)), kind)

    def check(self, component: str, operation: Operation) -> None:
        """Return if `component` may do `operation` now, else raise OperationRefused (`retry_after` in seconds)."""
        if self.is_operation_allowed(component, operation):
            return
        found = self.explain(component, operation)
        wait = self._retry_after
        if found.expires_in is not None:
            wait = min(wait, max(found.expires_in, 0.0))
        raise OperationRefused(component, found.operation.value, found.mode.name, wait)

    def explain(self, component: str, operation: Operation) -> Explanation:
        """Which rule or override decides about `operation` of `component`. Raises InvalidName, UnknownOperation."""
        snapshot = self._reader.current()
        return explain(
            snapshot, component, OperationType.parse(operation), self._now_ms(snapshot), self._reader.away_for
        )

    def get_system_status(self) -> SystemStatus:
        """Everything at a glance, as plain data: the system's mode, each component's, and every entry in force."""
        snapshot = self._reader.current()
        age = self._clock.monotonic() - snapshot.taken_at
        return system_status(snapshot, self._now_ms(snapshot), age, self._reader.away_for, self._declared)

    def entries(self) -> list[Entry]:
        """The entries in force, by field."""
        snapshot = self._reader.current()
        now_ms = self._now_ms(snapshot)
        return [entry for _, entry in sorted(snapshot.entries.items()) if entry.ruling_at(now_ms)]

    def history(self, limit: int = 50, component: str | None = None) -> list[AuditEntry]:
        """The newest `limit` changes, newest first; only those of `component` if named. Raises ModesUnavailable."""
        try:
            records = self._store.history(limit)
        except redis_py.RedisError as error:
            raise ModesUnavailable(f"The history of modes cannot be read: {error}") from error
        return [entry for entry in map(decode_audit, records) if component in (None, entry.component)]

    # What components declare

    def register(self, component: str, operations: Iterable[Operation]) -> None:
        """Declare what `component` does, for status and dry runs. Raises InvalidName, UnknownOperation."""
        self._declared[valid_name(component)] = tuple(OperationType.parse(operation) for operation in operations)

    def would_refuse(
        self, mode: DegradationMode | str, component: str | None = None
    ) -> list[tuple[str, OperationType]]:
        """Dry run: the declared operations that would be refused with `component` (default: the system) in `mode`.

        What is refused already is among them. Raises UnknownMode.
        """
        wanted = DegradationMode.parse(mode)
        chosen = None if component == SYSTEM else component
        return [
            (name, kind)
            for name, kinds in sorted(self._declared.items())
            if chosen in (None, name)
            for kind in kinds
            if not is_allowed(max(wanted, self._mode(Scope.of(name, kind))), kind)
        ]

    def subscribe(self, listener: Listener) -> None:
        """Call `listener(scope, old, new)` when this process learns of a changed mode, in the thread that does."""
        self._reader.listeners.append(listener)

    # Changing

    def set_component_mode(
        self,
        component: str,
        mode: DegradationMode | str,
        *,
        operation: Operation | None = None,
        actor: str = "",
        reason: str = "",
        duration: float | None = None,
    ) -> DegradationMode:
        """Put `component` (or one operation type of it) in `mode`, for `duration` seconds or until cleared.

        Replaces an earlier override of the same scope. It can only make things stricter than rules and the system
        do: the mode that then rules is returned. Raises ModesUnavailable, InvalidName, UnknownMode,
        UnknownOperation, and ValueError for a time that is not positive.
        """
        if duration is not None and not 0.001 <= duration <= 1e9:
            raise ValueError(f"duration must be from 0.001 to 1e9 seconds, not {duration}")
        scope = Scope.of(component, operation)
        # The token lets a repeated call (a reply that got lost) be told from a second override.
        detail = json.dumps({"actor": actor, "reason": reason, "token": secrets.token_hex(4)})
        lifetime = 0 if duration is None else round(duration * 1000)
        change = Change(field_name(MANUAL, scope), DegradationMode.parse(mode).name, detail, lifetime)
        self._write([change], "set")
        return self._mode(scope)

    def clear(self, component: str, *, operation: Operation | None = None, actor: str = "", reason: str = "") -> bool:
        """Remove the override of exactly this scope; False if there was none. Raises as `set_component_mode`."""
        field = field_name(MANUAL, Scope.of(component, operation))
        detail = json.dumps({"actor": actor, "reason": reason})
        return self._write([Change(field, "", detail)], "clear").applied > 0

    def reset_rules(self, component: str, *, actor: str = "", reason: str = "") -> int:
        """Forget what rules decided about `component`, their dwell and flaps included; how many were forgotten.

        A rule whose signal is still bad decides again at once. Raises ModesUnavailable, InvalidName.
        """
        valid_name(component)
        detail = json.dumps({"actor": actor, "reason": reason})
        automatic = [each for each in self.fresh().entries.values() if not each.manual]
        changes = [Change(each.field, "", detail) for each in automatic if each.scope.component == component]
        return self._write(changes, "clear").applied

    def apply_rules(self, changes: Sequence[Change]) -> Reply:
        """Write what rules decided, each change only if nobody else changed its entry. Raises ModesUnavailable."""
        return self._write(changes, "rule")

    def fresh(self) -> Snapshot:
        """The table as it is now, by one or two round trips. Raises ModesUnavailable."""
        self._write([], "")
        return self._reader.current()

    # Checkpoints

    def dump(self) -> TableDump:
        """Everything that is in force, as plain data for a checkpoint. Raises ModesUnavailable."""
        snapshot = self.fresh()
        fields = {field: entry.value for field, entry in snapshot.entries.items()}
        return TableDump(revision=snapshot.revision, fields=fields)

    def load(self, dump: TableDump) -> bool:
        """Bring back a dump if the modes were lost; False if what is there is as good or better.

        Raises ModesUnavailable.
        """
        try:
            return self._store.restore(dump["revision"], dump["fields"])
        except redis_py.RedisError as error:
            raise ModesUnavailable(f"Modes cannot be restored, Redis does not answer: {error}") from error

    def _write(self, changes: Sequence[Change], cause: str) -> Reply:
        before = self._reader.current()
        try:
            reply = self._store.sync(before.version, changes, cause)
        except redis_py.RedisError as error:
            raise ModesUnavailable(f"Modes cannot be changed, Redis does not answer: {error}") from error
        self._reader.adopt(reply)
        return reply

    def _mode(self, scope: Scope) -> DegradationMode:
        snapshot = self._reader.current()
        return snapshot.mode(scope, self._now_ms(snapshot))

    def _now_ms(self, snapshot: Snapshot) -> float:
        return snapshot.now_ms(self._clock.monotonic())

    def __reduce__(self) -> Any:
        raise TypeError("A DegradationManager cannot be pickled: make one in each process.")
