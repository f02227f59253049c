"""Calls that wait out a short restore of the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from banking.errors import LedgerMissing, LedgerRestoring
from recovery.clock import Clock

T = TypeVar("T")

#: Seconds for which a call waits for a ledger that is being restored.
_PATIENCE = 5.0
_POLL_SECONDS = 0.05


class RestorePatience:
    """Repeats a call for some seconds while the ledger is being restored: that is over soon, or not for long."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: Whether the ledger was there once: then a missing one has been lost, and will be restored.
        self.ledger_seen = False

    def call(self, function: Callable[[], T]) -> T:
        """What `function()` returns. Raises what it raises, LedgerRestoring and LedgerMissing after the wait."""
        deadline = self._clock.monotonic() + _PATIENCE
        while True:
            try:
                return function()
            except (LedgerRestoring, LedgerMissing) as error:
                lost = isinstance(error, LedgerRestoring) or self.ledger_seen
                if not lost or self._clock.monotonic() >= deadline:
                    raise
            self._clock.sleep(_POLL_SECONDS)
