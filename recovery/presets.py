"""The presets of retry policies and circuit breakers, and what each degradation mode allows; times are in seconds."""

from __future__ import annotations

from typing import TypedDict


class RetryPreset(TypedDict):
    max_attempts: int
    initial_delay: float
    max_delay: float
    backoff_multiplier: float
    jitter_factor: float


class BreakerPreset(TypedDict):
    failure_threshold: int
    timeout: float
    success_threshold: int


def _retry(attempts: int, initial: float, max_delay: float, multiplier: float, jitter: float) -> RetryPreset:
    return RetryPreset(
        max_attempts=attempts,
        initial_delay=initial,
        max_delay=max_delay,
        backoff_multiplier=multiplier,
        jitter_factor=jitter,
    )


RETRY_PRESETS: dict[str, RetryPreset] = {
    "default": _retry(3, 0.100, 5.0, 2.0, 0.10),
    "rpc": _retry(3, 0.050, 2.0, 2.0, 0.10),
    "network": _retry(5, 0.100, 5.0, 1.5, 0.20),
    "storage": _retry(3, 0.200, 3.0, 2.0, 0.05),
}

BREAKER_PRESETS: dict[str, BreakerPreset] = {
    "default": BreakerPreset(failure_threshold=5, timeout=30.0, success_threshold=2),
    "rpc": BreakerPreset(failure_threshold=5, timeout=10.0, success_threshold=2),
    "transaction": BreakerPreset(failure_threshold=10, timeout=5.0, success_threshold=3),
    "heavy_workload": BreakerPreset(failure_threshold=20, timeout=60.0, success_threshold=5),
}

#: Case-insensitive parts of a message that mark an error as retryable when its type says nothing.
RETRYABLE_MESSAGE_PARTS: tuple[str, ...] = (
    "timeout",
    "connection",
    "network",
    "temporary",
    "transient",
    "unavailable",
    "busy",
    "overloaded",
    "rate limit",
    "throttle",
)

#: What each mode allows beside administrative operations, which are allowed in every mode.
ESSENTIAL_OPERATIONS: frozenset[str] = frozenset({"HEALTH_CHECK", "HEARTBEAT", "STATUS"})
READ_OPERATIONS: frozenset[str] = frozenset({"READ", "GET", "QUERY", "LIST", "FETCH"})
ADMINISTRATIVE_OPERATIONS: frozenset[str] = frozenset({"SHUTDOWN", "RESTART", "CONFIG_UPDATE"})
