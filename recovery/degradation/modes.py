"""The four modes, the operations, and which mode allows which operation."""

from __future__ import annotations

from enum import IntEnum, StrEnum

from recovery.degradation.errors import UnknownMode, UnknownOperation
from recovery.presets import ADMINISTRATIVE_OPERATIONS, ESSENTIAL_OPERATIONS, READ_OPERATIONS


class DegradationMode(IntEnum):
    """From everything to nothing; a greater mode is a stricter one."""

    NORMAL = 0
    READ_ONLY = 1
    ESSENTIAL_ONLY = 2
    OFFLINE = 3

    @classmethod
    def parse(cls, name: DegradationMode | str) -> DegradationMode:
        """The mode called `name`, in any case. Raises UnknownMode."""
        if isinstance(name, DegradationMode):
            return name
        try:
            return cls[name.upper()]
        except KeyError:
            raise UnknownMode(f"{name!r} is no mode; the modes are {', '.join(cls.__members__)}.") from None

    def step_towards(self, target: DegradationMode) -> DegradationMode:
        """The neighbouring mode on the way to `target`, or this one when there already."""
        return DegradationMode(self + (target > self) - (target < self))


class OperationType(StrEnum):
    """What a caller wants to do. Processing a transaction is a WRITE."""

    READ = "READ"
    GET = "GET"
    QUERY = "QUERY"
    LIST = "LIST"
    FETCH = "FETCH"
    WRITE = "WRITE"
    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    EXECUTE = "EXECUTE"
    HEALTH_CHECK = "HEALTH_CHECK"
    HEARTBEAT = "HEARTBEAT"
    STATUS = "STATUS"
    SHUTDOWN = "SHUTDOWN"
    RESTART = "RESTART"
    CONFIG_UPDATE = "CONFIG_UPDATE"

    @classmethod
    def parse(cls, name: OperationType | str) -> OperationType:
        """The operation called `name`, in any case. Raises UnknownOperation: nothing is taken for a read."""
        if isinstance(name, OperationType):
            return name
        try:
            return cls[name.upper()]
        except KeyError:
            known = ", ".join(cls.__members__)
            raise UnknownOperation(f"{name!r} is no operation; the operations are {known}.") from None


def _named(names: frozenset[str]) -> frozenset[OperationType]:
    return frozenset(OperationType(name) for name in names)


#: Allowed in every mode: without them nobody could ever leave OFFLINE.
ADMINISTRATIVE = _named(ADMINISTRATIVE_OPERATIONS)

ALLOWED: dict[DegradationMode, frozenset[OperationType]] = {
    DegradationMode.NORMAL: frozenset(OperationType),
    DegradationMode.READ_ONLY: _named(READ_OPERATIONS | ESSENTIAL_OPERATIONS) | ADMINISTRATIVE,
    DegradationMode.ESSENTIAL_ONLY: _named(ESSENTIAL_OPERATIONS) | ADMINISTRATIVE,
    DegradationMode.OFFLINE: ADMINISTRATIVE,
}


def is_allowed(mode: DegradationMode, operation: OperationType) -> bool:
    """Whether `mode` allows `operation`."""
    return operation in ALLOWED[mode]
