"""The state of a breaker that belongs to this process alone."""

from __future__ import annotations

from recovery.breaker.config import CircuitBreakerConfig
from recovery.breaker.core import BreakerCore
from recovery.breaker.state import Request, Snapshot
from recovery.clock import Clock


class LocalStore:
    """A `BreakerCore` on this process's monotonic clock. A forked child goes on with a copy of its own."""

    remote = False

    def __init__(self, config: CircuitBreakerConfig, clock: Clock) -> None:
        self._core = BreakerCore(config)
        self._clock = clock

    def sync(self, request: Request) -> Snapshot:
        return self._core.sync(request, self._now())

    def override(self, action: str, *, for_ms: int, reason: str, by: str) -> Snapshot:
        return self._core.set_override(action, self._now(), for_ms=for_ms, reason=reason, by=by)

    def after_fork(self) -> None:
        self._core.probes.clear()  # those are the parent's

    def _now(self) -> int:
        return int(self._clock.monotonic() * 1000)
