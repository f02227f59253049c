"""Graceful degradation: four modes per component, shared by a fleet through Redis."""

from recovery.degradation.audit import AuditEntry
from recovery.degradation.entries import SYSTEM
from recovery.degradation.errors import (
    InvalidName,
    ModesUnavailable,
    OperationRefused,
    UnknownMode,
    UnknownOperation,
)
from recovery.degradation.explain import Explanation
from recovery.degradation.manager import DegradationManager
from recovery.degradation.modes import ALLOWED, DegradationMode, OperationType

__all__ = [
    "ALLOWED",
    "SYSTEM",
    "AuditEntry",
    "DegradationManager",
    "DegradationMode",
    "Explanation",
    "InvalidName",
    "ModesUnavailable",
    "OperationRefused",
    "OperationType",
    "UnknownMode",
    "UnknownOperation",
]
