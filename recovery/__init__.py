"""What keeps things alive: retry, circuit breaker, degradation, checkpoints, dead letters. No Solana in sight."""

from recovery.backoff import Jitter
from recovery.breaker import CircuitBreaker, CircuitBreakerConfig, CircuitOpenError, CircuitState, get_breaker
from recovery.budget import RetryBudget
from recovery.celery_task import FaultTolerantTask
from recovery.dead_letters import DeadLetter, DeadLetters
from recovery.errors import Refused, TerminalError, TransientError
from recovery.retry import RetryPolicy
from recovery.retry_events import RetryEvent, Verdict, set_retry_hooks
from recovery.retryable import is_retryable, retry_on

__all__ = [
    "CircuitBreaker",
    "CircuitBreakerConfig",
    "CircuitOpenError",
    "CircuitState",
    "DeadLetter",
    "DeadLetters",
    "FaultTolerantTask",
    "Jitter",
    "Refused",
    "RetryBudget",
    "RetryEvent",
    "RetryPolicy",
    "TerminalError",
    "TransientError",
    "Verdict",
    "get_breaker",
    "is_retryable",
    "retry_on",
    "set_retry_hooks",
]
