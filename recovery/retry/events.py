"""Events of retries, and how observers are notified."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

logger = logging.getLogger(__name__)


class Verdict(StrEnum):
    """What follows a failed attempt, and why."""

    RETRY = "retry"
    NOT_RETRYABLE = "not retryable"
    ATTEMPTS_USED_UP = "attempts used up"
    DEADLINE = "deadline"
    BUDGET_EXHAUSTED = "retry budget exhausted"


@dataclass(frozen=True, slots=True)
class RetryEvent:
    """One attempt failed. Times are seconds."""

    name: str
    attempt: int
    max_attempts: int
    error: Exception
    verdict: Verdict
    #: Until the next attempt; 0 when there is none.
    delay: float
    #: Since the first attempt began.
    elapsed: float


class RetryHook(Protocol):
    """An observer. It must be quick; what it raises is logged and changes nothing."""

    def __call__(self, event: RetryEvent, /) -> None:
        """Take note of `event`."""


def log_retry(event: RetryEvent) -> None:
    """The default observer: a warning per retry and per giving up."""
    logger.warning(
        "%s: attempt %d of %d failed (%s: %s); %s",
        event.name,
        event.attempt,
        event.max_attempts,
        type(event.error).__name__,
        event.error,
        f"next in {event.delay:.3f} s" if event.verdict is Verdict.RETRY else f"giving up: {event.verdict}",
    )


_hooks: tuple[RetryHook, ...] = (log_retry,)


def set_retry_hooks(hooks: Iterable[RetryHook]) -> None:
    """Replace the process's observers (at first only `log_retry`)."""
    global _hooks
    _hooks = tuple(hooks)


def get_retry_hooks() -> tuple[RetryHook, ...]:
    """The process's observers."""
    return _hooks


def notify(hooks: Iterable[RetryHook], event: RetryEvent) -> None:
    """Give `event` to each hook; a hook that fails must not fail the work it watches."""
    for hook in hooks:
        try:
            hook(event)
        except Exception:
            logger.exception("A retry hook failed")
