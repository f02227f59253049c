"""The two kinds of error that everything here tells apart (and the third, which is no failure at all)."""

from __future__ import annotations


class RecoveryError(Exception):
    """Base of every error that this package raises on purpose. The message says what to do."""


class ConfigurationError(RecoveryError):
    """A policy, a preset, a key file or a URL that was given is wrong."""


class TransientError(RecoveryError):
    """A failure that may be gone the next time: retried by policy, counted by circuit breakers.

    `retry_after` is how many seconds to wait at least, when the other side said so (None otherwise).
    """

    def __init__(self, *args: object, retry_after: float | None = None) -> None:
        super().__init__(*args)
        self.retry_after = retry_after


class TerminalError(RecoveryError):
    """A failure that would be the same every time: recorded, never retried, never counted against a breaker."""


class Refused(RecoveryError):
    """The work was not begun: a breaker is open or a mode does not allow it. Base of such errors.

    `retry_after` is how many seconds to wait before asking again. A refusal uses up no attempt: tasks park,
    and `RetryPolicy.call` passes it on at once.
    """

    def __init__(self, *args: object, retry_after: float = 1.0) -> None:
        super().__init__(*args)
        self.retry_after = retry_after
