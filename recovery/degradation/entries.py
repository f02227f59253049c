"""One entry of the shared table: who put which scope into which mode, until when, and why.

In Redis an entry is a field of one hash. Field: `manual/COMPONENT/OPERATION` or `auto/COMPONENT/OPERATION/RULE`,
with `*` for all operations. Value: `MODE EXPIRES CHANGED DETAIL`: the mode's name, two server times in milliseconds
since the epoch (EXPIRES is 0 for never), and a JSON object that the scripts carry along unread.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from recovery.degradation.errors import InvalidName
from recovery.degradation.modes import DegradationMode, OperationType

#: The component whose mode rules every other component.
SYSTEM = "system"
ALL_OPERATIONS = "*"
MANUAL = "manual"
AUTOMATIC = "auto"

_NAME = re.compile(r"[A-Za-z0-9_.:@-]{1,100}")


@dataclass(frozen=True, slots=True)
class Scope:
    """What an entry speaks about: a component, or one operation type within it."""

    component: str
    operation: str = ALL_OPERATIONS

    @classmethod
    def of(cls, component: str, operation: OperationType | str | None = None) -> Scope:
        """Raises InvalidName or UnknownOperation."""
        valid_name(component)
        return cls(component, ALL_OPERATIONS if operation is None else OperationType.parse(operation).value)

    def __str__(self) -> str:
        return self.component if self.operation == ALL_OPERATIONS else f"{self.component}/{self.operation}"


def valid_name(name: str) -> str:
    """`name` itself. Raises InvalidName unless it is 1 to 100 letters, digits and `_ . : @ -`."""
    if not _NAME.fullmatch(name):
        raise InvalidName(f"{name!r} is no name: use 1 to 100 letters, digits and _ . : @ - only.")
    return name


@dataclass(frozen=True, slots=True)
class Entry:
    """A mode that somebody (an operator or a rule) set for a scope. Times are server milliseconds."""

    source: str
    scope: Scope
    mode: DegradationMode
    rule: str = ""
    expires_ms: int = 0
    changed_ms: int = 0
    detail: str = "{}"

    @property
    def field(self) -> str:
        return field_name(self.source, self.scope, self.rule)

    @property
    def value(self) -> str:
        return encode_value(self.mode, self.expires_ms, self.changed_ms, self.detail)

    @property
    def manual(self) -> bool:
        return self.source == MANUAL

    @property
    def notes(self) -> dict[str, object]:
        """The detail as written: actor and reason of an operator, state of a rule."""
        notes = json.loads(self.detail)
        return notes if isinstance(notes, dict) else {}

    def ruling_at(self, now_ms: float) -> bool:
        """Whether the entry has not expired at `now_ms`."""
        return not self.expires_ms or now_ms < self.expires_ms


def field_name(source: str, scope: Scope, rule: str = "") -> str:
    """The hash field of an entry."""
    parts = (source, scope.component, scope.operation, rule) if rule else (source, scope.component, scope.operation)
    return "/".join(parts)


def encode_value(mode: DegradationMode, expires_ms: int, changed_ms: int, detail: str) -> str:
    """The hash value of an entry; the scripts write the same."""
    return f"{mode.name} {expires_ms} {changed_ms} {detail}"


def decode_entry(field: str, value: str) -> Entry | None:
    """The entry stored as `field` and `value`; None for the table's own bookkeeping fields.

    Raises UnknownMode or ValueError for a field that looks like an entry and is not one.
    """
    source, _, rest = field.partition("/")
    if source not in (MANUAL, AUTOMATIC):
        return None
    component, operation, *rule = rest.split("/")
    mode, expires, changed, detail = value.split(" ", 3)
    return Entry(
        source=source,
        scope=Scope(component, operation),
        mode=DegradationMode.parse(mode),
        rule=rule[0] if rule else "",
        expires_ms=int(expires),
        changed_ms=int(changed),
        detail=detail,
    )
