"""Retries: one policy that decides, its backoff and classification of errors, and a budget that a fleet shares."""

from recovery.retry.backoff import Jitter, retry_after_seconds
from recovery.retry.budget import RetryBudget
from recovery.retry.caller import Retrying
from recovery.retry.classification import is_retryable, retry_on
from recovery.retry.decision import Decision
from recovery.retry.events import RetryEvent, RetryHook, Verdict, set_retry_hooks
from recovery.retry.policy import RetryPolicy

__all__ = [
    "Decision",
    "Jitter",
    "RetryBudget",
    "RetryEvent",
    "RetryHook",
    "RetryPolicy",
    "Retrying",
    "Verdict",
    "is_retryable",
    "retry_after_seconds",
    "retry_on",
    "set_retry_hooks",
]
