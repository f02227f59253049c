"""Celery's own exceptions, for code that works without Celery.

An exception of Celery's can only be met where Celery was imported, so nothing is imported for the sake of asking.
"""

from __future__ import annotations

import sys


def is_control_flow(error: BaseException) -> bool:
    """True for what a task raises to say something to Celery: Retry, Ignore, Reject."""
    return _is_a(error, "celery.exceptions", "TaskPredicate")


def is_transient(error: BaseException) -> bool:
    """True for a broker that does not answer, and for a task that was told to come to an end."""
    return _is_a(error, "kombu.exceptions", "OperationalError") or _is_a(
        error, "celery.exceptions", "SoftTimeLimitExceeded"
    )


def _is_a(error: BaseException, module: str, name: str) -> bool:
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(error, getattr(loaded, name))
