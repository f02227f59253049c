"""A token bucket in this process: the same rule as `lua/retry_budget.lua`, in the same whole numbers.

Tokens are whole millionths, times whole microseconds. With fractions the two would round differently (ten deposits
of 0.1 are one token in decimal and a little less in binary), and answer differently when a token just fits.
"""

from __future__ import annotations

import threading

from recovery.clock import Clock

TOKEN = 1_000_000


def millionths(tokens: float) -> int:
    """`tokens` in whole millionths, the nearest."""
    return round(tokens * TOKEN)


class TokenBucket:
    """Holds up to `capacity` tokens; `floor_per_second` drip in. It begins with one second of that, at least 1."""

    def __init__(self, *, floor_per_second: float, capacity: float, clock: Clock) -> None:
        self._floor = millionths(floor_per_second)
        self._capacity = millionths(capacity)
        self._clock = clock
        self._tokens = max(self._floor, TOKEN)
        self._at = self._now()
        #: What has dripped in of the next millionth, in millionths of it.
        self._drop = 0
        self._lock = threading.Lock()

    def withdraw(self, deposit: int = 0) -> bool:
        """Put in `deposit` millionths of a token, then take a token out; False when there is no whole one."""
        with self._lock:
            self._drip()
            self._tokens = min(self._capacity, self._tokens + deposit)
            if self._tokens < TOKEN:
                return False
            self._tokens -= TOKEN
            return True

    def available(self) -> float:
        """The tokens in it now."""
        with self._lock:
            self._drip()
            return min(self._capacity, self._tokens) / TOKEN

    def _drip(self) -> None:
        now = self._now()
        if now > self._at:
            dripped, self._drop = divmod((now - self._at) * self._floor + self._drop, 1_000_000)
            self._tokens += dripped
            self._at = now

    def _now(self) -> int:
        """The monotonic clock in microseconds."""
        return round(self._clock.monotonic() * 1_000_000)
