"""A process's copy of the state, in terms of its own monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from recovery.breaker.config import CircuitBreakerConfig
from recovery.breaker.state import CircuitState, Override, Snapshot


@dataclass(frozen=True, slots=True)
class View:
    """A snapshot with its deadlines; all are readings of the monotonic clock, in seconds."""

    snapshot: Snapshot
    config: CircuitBreakerConfig
    taken_at: float

    @property
    def fresh_until(self) -> float:
        return self.taken_at + self.config.snapshot_age

    @property
    def open_until(self) -> float:
        return self.taken_at + self.snapshot.remaining / 1000

    @property
    def fast_until(self) -> float:
        """Until when calls pass without a second look; in the past unless the breaker is plainly closed."""
        if self.snapshot.state is not CircuitState.CLOSED or self.share(self.taken_at) < 1:
            return -inf
        return self.fresh_until

    def wants_probe(self, now: float) -> bool:
        """True when it may be worth asking for a probe before the view is old."""
        if self.snapshot.state is CircuitState.OPEN:
            return now >= self.open_until and self.snapshot.override is not Override.OPEN
        return self.snapshot.state is CircuitState.HALF_OPEN and self.snapshot.probes < self.config.half_open_probes

    def share(self, now: float) -> float:
        """The share (0..1) of calls that may pass a closed breaker, below 1 only while it ramps up."""
        if self.config.ramp <= 0 or self.snapshot.trips == 0 or self.snapshot.override is not None:
            return 1.0
        # What tripped has an age: it has changed.
        age = (self.snapshot.age or 0) / 1000 + now - self.taken_at
        start = self.config.ramp_start
        return min(1.0, start + (1 - start) * age / self.config.ramp)

    @property
    def why(self) -> str:
        """What to tell a caller that is refused."""
        if self.snapshot.override is not None:
            return self.snapshot.override_reason
        if self.snapshot.state is CircuitState.HALF_OPEN:
            return "all probes are out"
        return "ramping up" if self.snapshot.state is CircuitState.CLOSED else self.snapshot.reason

    def retry_after(self, now: float) -> float:
        """Seconds after which asking again may help."""
        if self.snapshot.state is CircuitState.OPEN and self.open_until > now:
            return self.open_until - now
        return self.config.snapshot_age
