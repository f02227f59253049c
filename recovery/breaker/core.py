"""The rules of a breaker in plain Python: the same as `lua/breaker_sync.lua`, for one process and without Redis.

It serves breakers that have no Redis, stands in while Redis is away, and holds a process's own view when a quorum
is asked for. A test drives it and the Lua side by side and demands the same answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from recovery.breaker.config import CircuitBreakerConfig
from recovery.breaker.state import CircuitState, Override, Request, Snapshot, Verdict
from recovery.clock import Clock

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN


#: Parts of the sliding window.
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


@dataclass(slots=True)
class BreakerCore:
    """One breaker's state. `now` is milliseconds of any clock; `step` is what a generation grows by.

    `probes` are calls in flight with the end of their leases; they outlive their half-open spell, because so do the
    calls. The fallback counts its generations downwards from 0 (`step=-1`), so they never equal one from Redis.
    """

    config: CircuitBreakerConfig
    step: int = 1
    generation: int = 0
    state: CircuitState = CLOSED
    since: int | None = None
    until: int = 0
    length: int = 0
    trips: int = 0
    failures: int = 0
    successes: int = 0
    reason: str = ""
    probes: dict[str, int] = field(default_factory=dict)
    override: Override | None = None
    override_until: int | None = None
    override_reason: str = ""
    override_by: str = ""
    window: SlidingWindow = field(init=False)

    def __post_init__(self) -> None:
        self.window = SlidingWindow(self.config)

    def sync(self, request: Request, now: int) -> Snapshot:
        """Apply one request at time `now` and return the state after it."""
        self._pass_time(now)
        held = self.probes.pop(request.lease, None) is not None
        if request.generation == self.generation:
            if self.state is CLOSED:
                self._report(request, now)
            elif self.state is HALF_OPEN and self._ruled and held:
                self._judge(request, now)
        granted = self._grant(request.acquire, now) if request.acquire and self._ruled else False
        return self._snapshot(now, granted)

    def set_override(self, action: str, now: int, *, for_ms: int, reason: str, by: str) -> Snapshot:
        """Do what `Store.override` says."""
        self._new_generation(now)
        if action in ("closed", "reset"):
            self.state, self.since, self.until, self.length, self.trips = CLOSED, now, 0, 0, 0
            self.failures, self.successes, self.reason = 0, 0, reason
            self.window.clear()
        if action in ("clear", "reset"):
            self.override, self.override_until, self.override_reason, self.override_by = None, None, "", ""
        else:
            self.override, self.override_reason, self.override_by = Override(action), reason, by
            self.override_until = None if for_ms < 0 else now + for_ms
        return self._snapshot(now, False)

    @property
    def _ruled(self) -> bool:
        return self.override is None or self.override is Override.DISABLED

    def _new_generation(self, now: int) -> None:  # noqa: ARG002 - the model of the Lua side counts by time
        self.generation += self.step

    def _move(self, state: CircuitState, reason: str, now: int) -> None:
        self._new_generation(now)
        self.state, self.since, self.reason = state, now, reason
        self.failures, self.successes = 0, 0
        self.window.clear()

    def _open(self, reason: str, draw: float, now: int) -> None:
        rules = self.config
        if self.state is CLOSED and (self.since is None or now - self.since >= self.length):
            self.trips = 0
        self.trips += 1
        base = max(1, int(rules.timeout * 1000))
        longest = max(base, int(rules.max_timeout * 1000))
        length = min(base * rules.timeout_growth ** (self.trips - 1), longest)
        self.length = int(length * (1 + rules.timeout_jitter * draw))
        self._move(OPEN, reason, now)
        self.until = now + self.length

    def _pass_time(self, now: int) -> None:
        if self.override_until is not None and now >= self.override_until:
            self.override, self.override_until, self.override_reason, self.override_by = None, None, "", ""
            self._new_generation(now)
        self.until = min(self.until, now + self.length)
        if self.since is not None:
            self.since = min(self.since, now)
        longest = now + int(self.config.probe_lease * 1000)
        self.probes = {lease: min(ends, longest) for lease, ends in self.probes.items() if ends > now}

    def _report(self, request: Request, now: int) -> None:
        if not self._ruled or request.successes + request.failures == 0:
            return
        if request.successes:
            self.failures = 0
        if request.failures:
            self.failures = max(self.failures + request.failures, request.streak)
        reason = self.window.add(request, now) if self.config.watches_rates else None
        if self.failures >= self.config.failure_threshold:
            reason = "consecutive failures"
        if reason:
            self._open(reason, request.draw, now)

    def _judge(self, request: Request, now: int) -> None:
        if request.verdict is Verdict.FAIL:
            self._open("probe failed", request.draw, now)
        elif request.verdict is Verdict.OK:
            self.successes += 1
            if self.successes >= self.config.success_threshold:
                self._move(CLOSED, "probes succeeded", now)

    def _grant(self, lease: str, now: int) -> bool:
        if self.state is OPEN and now >= self.until:
            self._move(HALF_OPEN, "open time over", now)
        if self.state is not HALF_OPEN or len(self.probes) >= self.config.half_open_probes:
            return False
        self.probes[lease] = now + int(self.config.probe_lease * 1000)
        return True

    def _snapshot(self, now: int, granted: bool) -> Snapshot:
        state = self.state
        remaining = max(0, self.until - now) if state is OPEN else 0
        override_remaining = -1 if self.override_until is None else self.override_until - now
        if self.override is Override.OPEN:
            state = OPEN
            remaining = override_remaining if override_remaining >= 0 else int(self.config.timeout * 1000)
        elif self.override is Override.CLOSED:
            state, remaining = CLOSED, 0
        return Snapshot(
            generation=self.generation,
            state=state,
            remaining=remaining,
            age=None if self.since is None else now - self.since,
            trips=self.trips,
            failures=self.failures,
            successes=self.successes,
            probes=len(self.probes),
            granted=granted,
            override=self.override,
            override_remaining=override_remaining,
            override_reason=self.override_reason,
            override_by=self.override_by,
            reason=self.reason,
        )


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
