"""Admits calls and takes their outcomes: the part of a breaker that every call passes, with all that it needs."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from math import inf

from recovery.breaker.config import CircuitBreakerConfig
from recovery.breaker.errors import CircuitOpenError
from recovery.breaker.state import CircuitState, Override, Request, Snapshot, Store, Verdict
from recovery.clock import Clock

#: Whoever asks in a thread has its answer within so many seconds, or does not count: its event loop may have ended.
_ASKING_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Admission:
    """A call that was let through, and under which state; `lease` is set when it is a probe."""

    key: tuple[int, int]
    lease: str = ""


Announce = Callable[[Snapshot, Snapshot], None]


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
        """The reason given to a caller that is refused."""
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


class AdmissionControl:
    """Answers from the view while that is fresh; otherwise one caller exchanges with the store.

    Successes and refusals are tallied and go along with the next exchange; failures and probes are reported at once.
    """

    def __init__(self, name: str, config: CircuitBreakerConfig, store: Store, clock: Clock, announce: Announce) -> None:
        self.now = clock.monotonic
        self.store = store
        self._name = name
        self._config = config
        self._announce = announce
        self._slow_after = inf if config.slow_call_duration is None else config.slow_call_duration
        self._random = random.Random()
        self.view: View | None = None
        self._start_afresh()
        _controls.add(self)

    def _start_afresh(self) -> None:
        """Begin as a new process does: nothing pending, the view old, leases under names of its own."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._successes, self._slow, self._rejections = Tally(), Tally(), Tally()
        self._streak = 0
        #: When a coroutine asked for the state in a thread that has not answered yet.
        self._asked_at = -inf
        self._leases = count()
        self._lease_prefix = os.urandom(6).hex()
        self._random.seed()
        self.fast_until = -inf
        self.passing = Admission((0, 0))
        if self.view is not None:
            self.passing = Admission(self.view.snapshot.key)
            self.view = View(self.view.snapshot, self._config, -inf)

    def after_fork(self) -> None:
        """Make this copy of the control safe to use in the child of a fork."""
        self.store.after_fork()
        self._start_afresh()

    def admit(self) -> Admission:
        """Let a call through or raise CircuitOpenError. No round trip unless the view is old or a probe is due."""
        now = self.now()
        if now < self.fast_until:
            return self.passing
        view, lease = self._look(now)
        return Admission(view.snapshot.key, lease) if lease else self._admit_by(view, now)

    def _admit_by(self, view: View, now: float) -> Admission:
        if view.snapshot.override is Override.DISABLED:
            if view.snapshot.state is not CircuitState.CLOSED:
                self._rejections.add()  # what would have been refused
            return self.passing
        if view.snapshot.state is CircuitState.CLOSED and self._random.random() < view.share(now):
            return self.passing
        self._rejections.add()
        raise CircuitOpenError(self._name, view.retry_after(now), view.why)

    async def admit_async(self) -> Admission:
        """`admit`, with the round trip (if there is one) in a thread, so that the event loop goes on."""
        now = self.now()
        if not self.store.remote or not self._must_exchange(now):
            return self.admit()
        view = self.view
        asked = self._lock.locked() or now - self._asked_at < _ASKING_SECONDS
        if asked and view is not None and not view.snapshot.rejects:
            # As in `_look`, nobody waits for whoever is asking; a thread for each would only come back to say so.
            return self._admit_by(view, now)
        self._asked_at = now
        asking = asyncio.ensure_future(asyncio.to_thread(self.admit))
        asking.add_done_callback(self._answered)
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            asking.add_done_callback(self._give_back)
            raise

    def _answered(self, _: asyncio.Future[Admission]) -> None:
        self._asked_at = -inf

    def succeeded(self, admission: Admission, started: float) -> None:
        """A call came back well; costs a round trip only when it was a probe."""
        slow = self._slow_after != inf and self.now() - started >= self._slow_after
        if admission.lease:
            self._settle(admission, Verdict.FAIL if slow else Verdict.OK, slow)
        elif admission.key == self.passing.key:
            if slow:
                self._slow.add()
            self._successes.add()

    def failed(self, admission: Admission, started: float) -> None:
        """A call failed: reported at once, unless it was admitted under an earlier state."""
        self._settle(admission, Verdict.FAIL, self.now() - started >= self._slow_after, failed=True)

    def voided(self, admission: Admission) -> None:
        """A call ended without saying anything about the dependency."""
        if admission.lease:
            self._settle(admission, Verdict.VOID, False)

    def exchange(self) -> View:
        """Report what is pending and fetch the state now."""
        with self._lock:
            before, view = self.view, self._sync()
        self._notify(before, view)
        return view

    def override(self, action: str, *, for_ms: int, reason: str, by: str) -> None:
        """Pass on an operator's override (see `Store.override`)."""
        with self._lock:
            before, sent = self.view, self.now()
            view = self._adopt(self.store.override(action, for_ms=for_ms, reason=reason, by=by), sent)
        self._notify(before, view)

    def _must_exchange(self, now: float) -> bool:
        view = self.view
        return view is None or now >= view.fresh_until or view.wants_probe(now)

    def _look(self, now: float) -> tuple[View, str]:
        """The view to go by, refreshed if need be, and a lease if the call may be a probe."""
        if self._pid != os.getpid():  # a fork that ran no Python hooks
            self.after_fork()
        view = self.view
        if view is not None and not self._must_exchange(now):
            return view, ""
        # While it is closed nobody waits for whoever is refreshing; otherwise the answer matters.
        if not self._lock.acquire(blocking=view is None or view.snapshot.rejects):
            assert view is not None
            return view, ""
        try:
            before = self.view
            if before is not None and before is not view and not self._must_exchange(self.now()):
                return before, ""
            lease = f"{self._lease_prefix}-{next(self._leases)}"
            view = self._sync(acquire=lease)
        finally:
            self._lock.release()
        self._notify(before, view)
        return view, lease if view.snapshot.granted else ""

    def _settle(self, admission: Admission, verdict: Verdict, slow: bool, *, failed: bool = False) -> None:
        with self._lock:
            before = self.view
            if admission.key == self.passing.key:
                view = self._sync(
                    failures=int(failed),
                    slow_failures=int(failed and slow),
                    successes=int(not failed and verdict is not Verdict.VOID),
                    slow_successes=int(not failed and slow),
                    lease=admission.lease,
                    verdict=verdict,
                )
            elif admission.lease:  # its state is over, but its place among the probes is to be freed
                view = self._sync(lease=admission.lease)
            else:
                return
        self._notify(before, view)

    def _sync(
        self,
        *,
        successes: int = 0,
        slow_successes: int = 0,
        failures: int = 0,
        slow_failures: int = 0,
        lease: str = "",
        verdict: Verdict = Verdict.VOID,
        acquire: str = "",
    ) -> View:
        """One exchange with the store. The lock is held."""
        slow_successes += self._slow.take()
        successes += self._successes.take()
        self._streak = failures + (0 if successes else self._streak)
        sent = self.now()
        request = Request(
            generation=self.passing.key[0],
            successes=successes,
            slow_successes=slow_successes,
            failures=failures,
            slow_failures=slow_failures,
            streak=self._streak,
            rejected=self._rejections.take(),
            lease=lease,
            verdict=verdict,
            acquire=acquire,
            draw=self._random.random(),
        )
        return self._adopt(self.store.sync(request), sent)

    def _adopt(self, snapshot: Snapshot, sent: float) -> View:
        view = View(snapshot, self._config, sent)
        self.view = view
        if snapshot.key != self.passing.key:
            self.passing = Admission(snapshot.key)
            self._streak = 0
        self.fast_until = view.fast_until
        return view

    def _notify(self, before: View | None, after: View) -> None:
        self._announce(before.snapshot if before else Snapshot(), after.snapshot)

    def _give_back(self, asking: asyncio.Future[Admission]) -> None:
        """The asker was cancelled while its probe was granted."""
        if not asking.cancelled() and asking.exception() is None and asking.result().lease:
            asyncio.get_running_loop().run_in_executor(None, self.voided, asking.result())


_controls: weakref.WeakSet[AdmissionControl] = weakref.WeakSet()


def _after_fork() -> None:
    for control in list(_controls):
        control.after_fork()


os.register_at_fork(after_in_child=_after_fork)
