"""What a task's message carries from one attempt to the next, in one header."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from typing import Any

logger = logging.getLogger(__name__)

HEADER = "x-recovery"


@dataclass(frozen=True, slots=True)
class TaskState:
    """The history that Celery's own `retries` does not hold. Times are seconds since the Unix epoch."""

    #: When the first attempt began, moved on by the time spent parked; None before it.
    first_at: float | None = None
    #: The last wait, for decorrelated jitter; seconds.
    previous: float | None = None
    #: Set while parked.
    parked_at: float | None = None
    #: Not to be run before this, when a broker's countdown cannot be that long.
    not_before: float | None = None
    #: The next attempt is a retry that the budget has not granted yet.
    owes_retry: bool = False
    #: Given up for this reason, but the dead letter could not be written yet.
    dead: str | None = None
    #: Attempts made, once given up.
    attempts: int | None = None
    #: The last error, described in one line.
    error: str | None = None

    @classmethod
    def from_headers(cls, headers: dict[str, Any] | None) -> TaskState:
        """The state in a message's headers; a header of the wrong shape is logged and counts as none."""
        found = (headers or {}).get(HEADER)
        if found is None:
            return _FRESH
        try:
            return cls(**found)._checked()
        except (TypeError, ValueError) as error:
            logger.warning("Header %s ignored, it is not as expected: %s", HEADER, error)
            return _FRESH

    def to_headers(self, others: dict[str, Any] | None) -> dict[str, Any]:
        """`others` (the message's headers) with this state in place of the earlier one."""
        return {
            **(others or {}),
            HEADER: {name: value for name, value in asdict(self).items() if value is not None},
        }

    def resumed(self, now: float) -> TaskState:
        """The state at the start of a run: time spent parked does not count against the deadline."""
        if self is _FRESH:
            return TaskState(first_at=now)
        first_at = now if self.first_at is None else self.first_at
        if self.parked_at is not None:
            first_at += max(0.0, now - self.parked_at)
        return replace(self, first_at=first_at, parked_at=None)

    def elapsed(self, now: float) -> float:
        """Seconds since the first attempt began, without the time parked."""
        return 0.0 if self.first_at is None else max(0.0, now - self.first_at)

    def _checked(self) -> TaskState:
        for name in ("first_at", "previous", "parked_at", "not_before", "attempts"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise ValueError(f"{name} is {value!r}")
        return self


#: The state of a task that has not been tried yet; most tasks never have another.
_FRESH = TaskState()
