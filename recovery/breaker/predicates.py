"""Which errors count as failures of the dependency."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from recovery import celery_errors
from recovery.errors import Refused, TerminalError

FailurePredicate = Callable[[BaseException], bool]

#: Cancellation and errors that lie in the request: none of them is evidence, for or against.
_NO_EVIDENCE = (asyncio.CancelledError, TerminalError, Refused)


def is_failure(error: BaseException) -> bool:
    """True for every `Exception` but cancellation, terminal errors, refusals, and Celery's Retry, Ignore and Reject.

    SystemExit, KeyboardInterrupt and GeneratorExit are no `Exception`s, so they never count either.
    """
    if not isinstance(error, Exception) or isinstance(error, _NO_EVIDENCE):
        return False
    return not celery_errors.is_control_flow(error)


def failures_only(*types: type[Exception]) -> FailurePredicate:
    """A predicate that counts only errors of `types` (and never what `is_failure` leaves out)."""
    return lambda error: is_failure(error) and isinstance(error, types)


def failures_except(*types: type[Exception]) -> FailurePredicate:
    """A predicate that counts all errors but those of `types` (and never what `is_failure` leaves out)."""
    return lambda error: is_failure(error) and not isinstance(error, types)
