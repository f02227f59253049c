"""A token bucket in this process: the same rule as `lua/retry_budget.lua`."""

from __future__ import annotations

import threading

from config.clock import Clock


class TokenBucket:
    """Holds up to `capacity` tokens; `floor_per_second` drip in. It begins with one second of that, at least 1."""

    def __init__(self, *, floor_per_second: float, capacity: float, clock: Clock) -> None:
        self._floor = floor_per_second
        self._capacity = capacity
        self._clock = clock
        self._tokens = min(capacity, max(floor_per_second, 1.0))
        self._at = clock.monotonic()
        self._lock = threading.Lock()

    def withdraw(self, deposit: float = 0.0) -> bool:
        """Put in `deposit` tokens, then take one out; False when there is no whole one."""
        with self._lock:
            now = self._clock.monotonic()
            dripped = max(0.0, now - self._at) * self._floor
            self._at = now
            self._tokens = min(self._capacity, self._tokens + dripped + deposit)
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True
