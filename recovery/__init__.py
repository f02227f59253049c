"""What keeps things alive: retry, circuit breaker, degradation, checkpoints, dead letters. No Solana in sight."""

from recovery.backoff import Jitter
from recovery.degradation import DegradationManager, DegradationMode, OperationRefused, OperationType
from recovery.errors import Refused, TerminalError, TransientError
from recovery.retry import RetryPolicy
from recovery.retry_events import RetryEvent, Verdict, set_retry_hooks
from recovery.retryable import is_retryable, retry_on

__all__ = [
    "DegradationManager",
    "DegradationMode",
    "Jitter",
    "OperationRefused",
    "OperationType",
    "Refused",
    "RetryEvent",
    "RetryPolicy",
    "TerminalError",
    "TransientError",
    "Verdict",
    "is_retryable",
    "retry_on",
    "set_retry_hooks",
]
