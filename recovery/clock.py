"""The injected clock. Nothing else in the project asks the machine for the time to decide anything."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Time as the code sees it; seconds as floats."""

    def time(self) -> float:
        """Wall-clock seconds since the Unix epoch: for records that people and other machines read."""

    def monotonic(self) -> float:
        """Seconds that never go back: for durations, deadlines and ages."""

    def sleep(self, seconds: float) -> None:
        """Wait `seconds` (a negative value counts as 0)."""


class SystemClock:
    """The machine's own clock."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


class ManualClock:
    """A clock that moves only when told to; `sleep` advances it at once. For tests and simulations."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._wall = start
        self._monotonic = 0.0
        self.sleeps: list[float] = []

    def time(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.advance(max(0.0, seconds))

    def advance(self, seconds: float) -> None:
        """Move both readings forward by `seconds`."""
        self._wall += seconds
        self._monotonic += seconds

    def jump_wall(self, seconds: float) -> None:
        """Move only the wall clock, as a time synchronisation does; `seconds` may be negative."""
        self._wall += seconds


SYSTEM_CLOCK = SystemClock()
