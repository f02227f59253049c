"""What keeps things alive: retry, circuit breaker, degradation, checkpoints, dead letters. No Solana in sight."""

from recovery.archive import Archive, open_archive
from recovery.backoff import Jitter
from recovery.breaker import CircuitBreaker, CircuitBreakerConfig, CircuitOpenError, CircuitState, get_breaker
from recovery.budget import RetryBudget
from recovery.celery_task import FaultTolerantTask
from recovery.checkpoints import Checkpoint, CheckpointStore, Component, Part
from recovery.dead_letters import DeadLetter, DeadLetters
from recovery.degradation import DegradationManager, DegradationMode, OperationRefused, OperationType
from recovery.errors import Refused, TerminalError, TransientError
from recovery.identity import Identity
from recovery.manager import RecoveryManager, RecoveryStatus
from recovery.retry import RetryPolicy
from recovery.retry_events import RetryEvent, Verdict, set_retry_hooks
from recovery.retryable import is_retryable, retry_on

__all__ = [
    "Archive",
    "Checkpoint",
    "CheckpointStore",
    "CircuitBreaker",
    "CircuitBreakerConfig",
    "CircuitOpenError",
    "CircuitState",
    "Component",
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
    "RecoveryManager",
    "RecoveryStatus",
    "Refused",
    "RetryBudget",
    "RetryEvent",
    "RetryPolicy",
    "TerminalError",
    "TransientError",
    "Verdict",
    "get_breaker",
    "is_retryable",
    "open_archive",
    "retry_on",
    "set_retry_hooks",
]
