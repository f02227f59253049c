"""Which errors say that the dependency is ill."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from celery.exceptions import Ignore, Reject, Retry

from recovery.errors import Refused, TerminalError

FailurePredicate = Callable[[BaseException], bool]

#: Control flow, cancellation, and errors that lie in the request: none of them is evidence, for or against.
NEVER_FAILURES: tuple[type[BaseException], ...] = (
    Retry,
    Ignore,
    Reject,
    asyncio.CancelledError,
    TerminalError,
    Refused,
)


def is_failure(error: BaseException) -> bool:
    """True for every `Exception` but those of `NEVER_FAILURES`.

    SystemExit, KeyboardInterrupt and GeneratorExit are no `Exception`s, so they never count either.
    """
    return isinstance(error, Exception) and not isinstance(error, NEVER_FAILURES)


def failures_only(*types: type[Exception]) -> FailurePredicate:
    """A predicate that counts only errors of `types` (and never those of `NEVER_FAILURES`)."""
    return lambda error: is_failure(error) and isinstance(error, types)


def failures_except(*types: type[Exception]) -> FailurePredicate:
    """A predicate that counts all errors but those of `types` (and never those of `NEVER_FAILURES`)."""
    return lambda error: is_failure(error) and not isinstance(error, types)
