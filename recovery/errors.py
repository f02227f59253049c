"""The two kinds of errors: those worth another try, and those that are an answer."""

from __future__ import annotations

from config.errors import TrunklineError


class TransientError(TrunklineError):
    """It may work later: connection, timeout, busy. Retried by policy, counted by breakers."""


class TerminalError(TrunklineError):
    """It will never work: recorded as the outcome, not retried, not counted by breakers."""
