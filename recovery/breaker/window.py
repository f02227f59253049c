"""The sliding window of the rate rules: ten buckets that together span it."""

from __future__ import annotations

from recovery.breaker.config import CircuitBreakerConfig
from recovery.breaker.state import Request

BUCKETS = 10


class SlidingWindow:
    """Counts of calls, failures and slow calls by tenth of the window; its memory is bounded by that."""

    __slots__ = ("_buckets", "_config")

    def __init__(self, config: CircuitBreakerConfig) -> None:
        self._config = config
        self._buckets: dict[int, list[int]] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._buckets.clear()

    def add(self, request: Request, now: int) -> str | None:
        """Count the outcomes of `request` at `now` (ms) and name the rate rule that is met, if any is."""
        rules = self._config
        slot = now * BUCKETS // max(1, int(rules.window * 1000))
        bucket = self._buckets.setdefault(slot, [0, 0, 0])
        bucket[0] += request.successes + request.failures
        bucket[1] += request.failures
        bucket[2] += request.slow_successes + request.slow_failures
        for old in [key for key in self._buckets if not slot - BUCKETS < key <= slot]:
            del self._buckets[old]
        total, failed, slow = (sum(column) for column in zip(*self._buckets.values(), strict=True))
        if total < rules.minimum_calls:
            return None
        if rules.failure_rate is not None and failed >= rules.failure_rate * total:
            return "failure rate"
        if rules.slow_call_rate is not None and slow >= rules.slow_call_rate * total:
            return "slow call rate"
        return None
