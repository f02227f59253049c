"""A circuit breaker that a fleet shares through one Redis key, and that costs nothing while it is closed."""

from recovery.breaker.breaker import CircuitBreaker
from recovery.breaker.config import CircuitBreakerConfig
from recovery.breaker.errors import BreakerStoreError, CircuitOpenError
from recovery.breaker.events import BreakerEvent, BreakerListener
from recovery.breaker.fallback import LastGood
from recovery.breaker.permit import Permit
from recovery.breaker.predicates import failures_except, failures_only, is_failure
from recovery.breaker.registry import BreakerStatus, configure_breakers, get_breaker, list_breakers
from recovery.breaker.state import CircuitState, Override, Snapshot

__all__ = [
    "BreakerEvent",
    "BreakerListener",
    "BreakerStatus",
    "BreakerStoreError",
    "CircuitBreaker",
    "CircuitBreakerConfig",
    "CircuitOpenError",
    "CircuitState",
    "LastGood",
    "Override",
    "Permit",
    "Snapshot",
    "configure_breakers",
    "failures_except",
    "failures_only",
    "get_breaker",
    "is_failure",
    "list_breakers",
]
