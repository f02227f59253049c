"""Fault tolerance for any Python or Celery project: retry, breaker, degradation, dead letters, checkpoints.

A name is imported when it is first asked for: the breaker needs redis-py alone, only `FaultTolerantTask` needs Celery,
only checkpoints and the archive need what hashes, signs and packs.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recovery.archive import Archive, open_archive
    from recovery.breaker import (
        CircuitBreaker,
        CircuitBreakerConfig,
        CircuitOpenError,
        CircuitState,
        configure_breakers,
        get_breaker,
    )
    from recovery.checkpoints import CheckpointStore, Component, Part
    from recovery.checkpoints.recovery_manager import RecoveryManager, RecoveryStatus
    from recovery.connections import connect
    from recovery.dead_letters import DeadLetter, DeadLetters
    from recovery.degradation import DegradationManager, DegradationMode, OperationRefused, OperationType
    from recovery.errors import ConfigurationError, RecoveryError, Refused, TerminalError, TransientError
    from recovery.identity import Identity
    from recovery.retry import (
        Jitter,
        RetryBudget,
        RetryEvent,
        RetryPolicy,
        Verdict,
        is_retryable,
        retry_on,
        set_retry_hooks,
    )
    from recovery.task import FaultTolerantTask

#: Module to the names it gives, as in the imports above (a test compares them).
_HOMES = {
    "archive": ("Archive", "open_archive"),
    "breaker": (
        "CircuitBreaker",
        "CircuitBreakerConfig",
        "CircuitOpenError",
        "CircuitState",
        "configure_breakers",
        "get_breaker",
    ),
    "task": ("FaultTolerantTask",),
    "checkpoints": ("CheckpointStore", "Component", "Part"),
    "connections": ("connect",),
    "dead_letters": ("DeadLetter", "DeadLetters"),
    "degradation": ("DegradationManager", "DegradationMode", "OperationRefused", "OperationType"),
    "errors": ("ConfigurationError", "RecoveryError", "Refused", "TerminalError", "TransientError"),
    "identity": ("Identity",),
    "checkpoints.recovery_manager": ("RecoveryManager", "RecoveryStatus"),
    "retry": (
        "Jitter",
        "RetryBudget",
        "RetryEvent",
        "RetryPolicy",
        "Verdict",
        "is_retryable",
        "retry_on",
        "set_retry_hooks",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
#: The extra of `trunkline-recovery` that a module needs.
_EXTRAS = {
    "task": "celery",
    "archive": "checkpoints",
    "checkpoints": "checkpoints",
    "identity": "checkpoints",
    "checkpoints.recovery_manager": "checkpoints",
}

__all__ = [
    "Archive",
    "CheckpointStore",
    "CircuitBreaker",
    "CircuitBreakerConfig",
    "CircuitOpenError",
    "CircuitState",
    "Component",
    "ConfigurationError",
    "DeadLetter",
    "DeadLetters",
    "DegradationManager",
    "DegradationMode",
    "FaultTolerantTask",
    "Identity",
    "Jitter",
    "OperationRefused",
    "OperationType",
    "Part",
    "RecoveryError",
    "RecoveryManager",
    "RecoveryStatus",
    "Refused",
    "RetryBudget",
    "RetryEvent",
    "RetryPolicy",
    "TerminalError",
    "TransientError",
    "Verdict",
    "configure_breakers",
    "connect",
    "get_breaker",
    "is_retryable",
    "open_archive",
    "retry_on",
    "set_retry_hooks",
]


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value: object = getattr(import_module(f"{__name__}.{home}"), name)
    except ModuleNotFoundError as error:
        if home not in _EXTRAS or (error.name or "").startswith(__name__):
            raise
        raise ImportError(
            f"{name} needs {error.name}, which is not installed: pip install 'trunkline-recovery[{_EXTRAS[home]}]'",
            name=error.name,
        ) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
