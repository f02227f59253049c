"""Four degradation modes per component, shared by a fleet through Redis."""

from recovery.degradation.audit import AuditEntry
from recovery.degradation.entries import SYSTEM
from recovery.degradation.errors import (
    InvalidName,
    ModesUnavailable,
    OperationRefused,
    UnknownMode,
    UnknownOperation,
)
from recovery.degradation.evaluator import SharedRules
from recovery.degradation.explain import Explanation
from recovery.degradation.manager import DegradationManager
from recovery.degradation.modes import ALLOWED, DegradationMode, OperationType
from recovery.degradation.rules import Decision, Rule, RuleEngine
from recovery.degradation.signals import CallableSignal, DiskFreeRatio, RedisMemoryRatio, Signal, collect

__all__ = [
    "ALLOWED",
    "SYSTEM",
    "AuditEntry",
    "CallableSignal",
    "Decision",
    "DegradationManager",
    "DegradationMode",
    "DiskFreeRatio",
    "Explanation",
    "InvalidName",
    "ModesUnavailable",
    "OperationRefused",
    "OperationType",
    "RedisMemoryRatio",
    "Rule",
    "RuleEngine",
    "SharedRules",
    "Signal",
    "UnknownMode",
    "UnknownOperation",
    "collect",
]
