"""The fields of a RetryPolicy as keyword arguments."""

from __future__ import annotations

from typing import TypedDict

from recovery.retry.backoff import Jitter
from recovery.retry.classification import Predicate


class RetryOverrides(TypedDict, total=False):
    """What `RetryPolicy.preset` may change; the meaning is that of the policy's fields."""

    max_attempts: int
    initial_delay: float
    max_delay: float
    backoff_multiplier: float
    jitter_factor: float
    jitter: Jitter
    deadline: float | None
    retryable: Predicate
    max_retry_after: float | None
