"""The state as the whole fleet sees it, and what a process does when it cannot, or must not, rely on that alone."""

from __future__ import annotations

from dataclasses import replace

from recovery.breaker.config import CircuitBreakerConfig
from recovery.breaker.core import BreakerCore
from recovery.breaker.errors import BreakerStoreError
from recovery.breaker.redis_health import LINK_ERRORS, RedisLink
from recovery.breaker.redis_store import RedisStore
from recovery.breaker.state import CircuitState, Override, Request, Snapshot
from recovery.clock import Clock

#: Milliseconds an open breaker stays open, at least, when Redis goes away: one slow reply must not make a process
#: probe by itself while the others probe by lease.
GRACE_MS = 1000
#: Places of probes to be given back at most, so that whoever finds Redis again does not flood it.
_MOST_OWED = 4


class SharedStore:
    """Redis while it answers; the same rules in this process while it does not.

    Beside that it keeps, when the config asks for a quorum, this process's own view, which may open alone.
    """

    remote = True

    def __init__(self, remote: RedisStore, link: RedisLink, config: CircuitBreakerConfig, clock: Clock) -> None:
        self._remote = remote
        self._link = link
        self._config = config
        self._clock = clock
        self._last_alone = -1
        self._stand_in: BreakerCore | None = None
        self._seed_generation = 0
        self._own = BreakerCore(config, step=-1) if config.quorum > 1 else None
        self._own_since = 0
        #: Probes of this process that Redis granted; and those that it may still hold a place for, although they ended.
        self._granted: set[str] = set()
        self._owed: list[str] = []

    def sync(self, request: Request) -> Snapshot:
        reporting = bool(request.failures or request.lease)
        if self._link.usable(may_retry=not reporting):
            try:
                self._give_back()
                shared = self._remote.sync(replace(request, vote=True) if self._opened_alone() else request)
            except LINK_ERRORS as error:
                self._link.failed(error)
                if request.acquire and len(self._owed) < _MOST_OWED:  # its reply may be all that was lost
                    self._owed.append(request.acquire)
            else:
                self._link.worked()
                self._leave_stand_in()
                self._granted.discard(request.lease)
                if shared.granted:
                    self._granted.add(request.acquire)
                return self._with_own_view(request, shared)
        if request.lease in self._granted:
            self._granted.discard(request.lease)
            self._owed.append(request.lease)
        return self._alone(request)

    def override(self, action: str, *, for_ms: int, reason: str, by: str) -> Snapshot:
        """Raises BreakerStoreError when Redis does not answer: an operator must not believe it done."""
        try:
            shared = self._remote.override(action, for_ms=for_ms, reason=reason, by=by)
        except LINK_ERRORS as error:
            self._link.failed(error)
            raise BreakerStoreError(f"The override was not set, Redis is away: {error}") from error
        self._link.worked()
        self._leave_stand_in()
        return self._with_own_view(Request(), shared)

    def after_fork(self) -> None:
        self._link.after_fork()
        self._granted.clear()
        self._owed.clear()
        if self._stand_in is not None:
            self._stand_in.probes.clear()

    def _give_back(self) -> None:
        """Free the places of probes that ended while Redis was away: until then it lets no other probe through.

        Raises LINK_ERRORS.
        """
        while self._owed:
            self._remote.sync(Request(lease=self._owed[0]))
            self._owed.pop(0)

    def _now(self) -> int:
        return int(self._clock.monotonic() * 1000)

    def _opened_alone(self) -> bool:
        """Whether this process, cut off, found out by itself what the others should know, and it is not stale."""
        core = self._stand_in
        if core is None or core.generation == self._seed_generation:
            return False
        return core.state is CircuitState.OPEN and self._now() < core.until

    def _leave_stand_in(self) -> None:
        if self._stand_in is not None:
            self._last_alone = self._stand_in.generation - 1
            self._stand_in = None

    def _alone(self, request: Request) -> Snapshot:
        core = self._stand_in
        if core is None:
            core = self._stand_in = self._seed()
            self._seed_generation = core.generation
            if core.state is CircuitState.CLOSED:  # what was to be told to Redis counts here
                request = replace(request, generation=core.generation)
        return core.sync(request, self._now())

    def _seed(self) -> BreakerCore:
        """Start from the last state that Redis told, so that going blind changes nothing by itself."""
        core = BreakerCore(self._config, step=-1, generation=self._last_alone)
        known = self._remote.known_now()
        if known is None:
            return core
        now = self._now()
        core.trips, core.reason = known.trips, known.reason
        core.since = None if known.age is None else now - known.age
        core.override, core.override_reason, core.override_by = (
            known.override,
            known.override_reason,
            known.override_by,
        )
        if known.override is not None and known.override_remaining >= 0:
            core.override_until = now + known.override_remaining
        if known.state is not CircuitState.CLOSED and known.override is not Override.OPEN:
            core.state = CircuitState.OPEN
            core.length = max(known.remaining, GRACE_MS)
            core.until = now + core.length
        return core

    def _with_own_view(self, request: Request, shared: Snapshot) -> Snapshot:
        own = self._own
        if own is None:
            return shared
        if shared.generation != self._own_since:  # the fleet moved on, and so does every single view
            own = self._own = BreakerCore(self._config, step=-1, generation=own.generation - 1)
            self._own_since = shared.generation
            request = Request()
        trusting = shared.state is CircuitState.CLOSED and shared.override is not Override.CLOSED
        acquire = request.acquire if trusting else ""
        mine = own.sync(replace(request, generation=own.generation, acquire=acquire), self._now())
        if not trusting or mine.state is CircuitState.CLOSED:
            return replace(shared, own_generation=mine.generation)
        return replace(
            shared,
            state=mine.state,
            remaining=mine.remaining,
            age=mine.age,
            trips=mine.trips,
            failures=mine.failures,
            successes=mine.successes,
            probes=mine.probes,
            granted=mine.granted,
            reason=f"only here: {mine.reason}",
            own_generation=mine.generation,
        )
