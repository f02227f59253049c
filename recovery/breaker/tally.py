"""Counting without a lock."""

from __future__ import annotations

from itertools import count


class Tally:
    """A counter that many threads may add to: `add()` is one step of a C iterator, so no addition is ever lost."""

    __slots__ = ("_taken", "add")

    def __init__(self) -> None:
        self.add = count().__next__
        self._taken = 0

    def take(self) -> int:
        """How many were added since the last `take` (which one thread at a time may call)."""
        position = self.add()
        added = position - self._taken
        self._taken = position + 1
        return added
