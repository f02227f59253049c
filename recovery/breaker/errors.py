"""What a caller of a breaker may have to catch."""

from __future__ import annotations

from recovery.errors import RecoveryError, Refused


class CircuitOpenError(Refused):
    """The call was not made, because the breaker is open. `retry_after` says how many seconds to wait."""

    def __init__(self, name: str, retry_after: float, reason: str = "") -> None:
        super().__init__(name, retry_after, reason, retry_after=retry_after)  # args that survive pickling
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        because = f" ({self.reason})" if self.reason else ""
        return f"Circuit breaker {self.name!r} is open{because}; ask again in {self.retry_after:.3f} s."


class BreakerStoreError(RecoveryError):
    """Redis cannot be reached, so the override was not set anywhere. Try again when it is back."""
