"""What a load came to, and how far it has come."""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass, field


@dataclass
class LoadReport:
    """Counts of transactions; `seconds` from the first submission to the last outcome.

    `missing` have neither an outcome nor a dead letter. `latencies` are seconds from submission to outcome.
    """

    total: int
    submitted: int = 0
    accepted: int = 0
    rejected: int = 0
    processed: int = 0
    failed: int = 0
    dead: int = 0
    missing: int = 0
    seconds: float = 0.0
    latencies: array[float] = field(default_factory=lambda: array("f"))
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Those that reached their end."""
        return self.processed + self.failed + self.dead

    @property
    def complete(self) -> bool:
        """Every transaction was accepted and has its one outcome."""
        return self.processed + self.failed == self.total and not (self.rejected or self.dead or self.missing)

    @property
    def rate(self) -> float:
        """Outcomes a second over the whole run."""
        return self.done / self.seconds if self.seconds else 0.0

    def latency(self, quantile: float) -> float | None:
        """Seconds from submission to outcome that this share of the transactions did not exceed."""
        if not self.latencies:
            return None
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]

    def count_reason(self, reason: str) -> None:
        """Note why one failed or was rejected; kinds of reasons are few, but keep them bounded all the same."""
        if reason in self.reasons or len(self.reasons) < 20:
            self.reasons[reason] = self.reasons.get(reason, 0) + 1


class Speed:
    """Outcomes a second over the last few seconds."""

    def __init__(self, span: float = 2.0) -> None:
        self._span = span
        self._seen: deque[tuple[float, int]] = deque()

    def update(self, now: float, count: int) -> float:
        """The speed, now that `count` have been seen in all."""
        self._seen.append((now, count))
        while now - self._seen[0][0] > self._span and len(self._seen) > 2:
            self._seen.popleft()
        then, before = self._seen[0]
        elapsed = now - then
        return (count - before) / elapsed if elapsed > 0 else 0.0
