"""Several processes, one Redis, everything that can go wrong: the Lua side must answer as the model does,
and no interleaving may break a breaker's promises."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Any

import fakeredis
import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from recovery.breaker import CircuitBreakerConfig, CircuitOpenError, CircuitState, Override
from recovery.breaker.admission_control import Admission, AdmissionControl
from recovery.breaker.errors import BreakerStoreError
from recovery.breaker.redis_health import RedisLink
from recovery.breaker.redis_store import RedisStore, text
from recovery.breaker.shared_store import SharedStore
from recovery.breaker.state import Request, Snapshot
from recovery.clock import ManualClock
from tests.support.breaker.model import ModelServer

PROCESSES = 3
NODES = ("a", "a", "b")
LEASE, OPEN = 5.0, 4.0
CONFIGS = [
    CircuitBreakerConfig(3, OPEN, 2, probe_lease=LEASE, half_open_probes=2, timeout_growth=2, max_timeout=8),
    CircuitBreakerConfig(2, OPEN, 1, probe_lease=LEASE, quorum=2, window=20, timeout_jitter=0.5, max_timeout=8),
    CircuitBreakerConfig(9, OPEN, 1, probe_lease=LEASE, failure_rate=0.4, minimum_calls=4, window=3),
]


class Server:
    """The fake Redis, its clock and its model."""

    def __init__(self, config: CircuitBreakerConfig) -> None:
        self.config = config
        self.redis = fakeredis.FakeRedis(version=(6, 2))
        self.model = ModelServer(config)
        self.now = 1_700_000_000_000
        self.newest = 0
        self.leases: dict[str, int] = {}

    def granted(self, lease: str) -> None:
        """A probe was let out: never may more than configured be in flight, whatever happened in between."""
        self.leases = {name: ends for name, ends in self.leases.items() if ends > self.now}
        self.leases[lease] = self.now + round(LEASE * 1000)
        assert len(self.leases) <= self.config.half_open_probes


class ModelledStore(RedisStore):
    """Asks the fake Redis and the model the same, and demands the same answer. Its line may be cut."""

    server: Server
    node: str
    line = "fine"

    def sync(self, request: Request) -> Snapshot:
        if self.line == "cut":
            raise redis.ConnectionError("cut")
        known = self.known_now()
        expected = self.server.model.exchange(self.node, known, request, self.server.now)
        before = self.known, self._known_at
        answer = super().sync(request)
        assert answer == expected
        self._watch(request, answer)
        if self.line == "loses replies":
            self.known, self._known_at = before
            raise redis.TimeoutError("lost")
        return answer

    def override(self, action: str, *, for_ms: int, reason: str, by: str) -> Snapshot:
        if self.line != "fine":
            raise redis.ConnectionError("cut")
        model = self.server.model
        model.generation = max(model.generation, self.known.generation if self.known else 0)
        model.set_override(action, self.server.now, for_ms=for_ms, reason=reason, by=by)
        model.override_length = max(0, for_ms)
        model.nodes = {} if action in ("closed", "reset") else model.nodes
        return super().override(action, for_ms=for_ms, reason=reason, by=by)

    def _watch(self, request: Request, answer: Snapshot) -> None:
        if request.lease:
            self.server.leases.pop(request.lease, None)
        if answer.granted:
            self.server.granted(request.acquire)
        known = max(self.known.generation if self.known else 0, answer.generation)
        assert answer.generation >= known, "a process that knew better was told something older"


@dataclass
class InFlight:
    admission: Admission
    started: float


class Process:
    """One process: a clock that may be wrong, a line that may be cut, calls in flight."""

    def __init__(self, server: Server, node: str, clock: ManualClock) -> None:
        self.clock = clock
        client: redis.Redis = server.redis
        self.link = RedisLink(client, clock)
        self.store = ModelledStore(
            "dep", server.config, client, clock, namespace="t", node=node, server_time=lambda: server.now
        )
        self.store.server, self.store.node = server, node
        shared = SharedStore(self.store, self.link, server.config, clock)
        self.gate = AdmissionControl("dep", server.config, shared, clock, lambda before, after: None)
        self.calls: list[InFlight] = []

    def start(self) -> bool:
        """Begin a call; True when it was let through."""
        refusing_until = self._must_refuse_until()
        asked_at = self.clock.monotonic()
        try:
            admission = self.gate.admit()
        except CircuitOpenError:
            return False
        view = self.gate.view
        assert view is not None
        if view.taken_at < asked_at:  # answered from the copy
            assert asked_at >= refusing_until, "a call passed although this process knew it open"
        self.calls.append(InFlight(admission, self.clock.monotonic()))
        return True

    def _must_refuse_until(self) -> float:
        view = self.gate.view
        if view is None or not view.snapshot.rejects or view.snapshot.state is not CircuitState.OPEN:
            return -inf
        return min(view.open_until, view.fresh_until)


class FleetMachine(RuleBasedStateMachine):
    """Interleaves the processes by hand."""

    config = CONFIGS[0]

    @initialize()
    def begin(self) -> None:
        self.server = Server(self.config)
        self.processes = [Process(self.server, node, ManualClock()) for node in NODES]
        self.generation = 0

    @rule(who=st.integers(0, PROCESSES - 1))
    def start_call(self, who: int) -> None:
        self.processes[who].start()

    @rule(
        who=st.integers(0, PROCESSES - 1),
        which=st.integers(0, 9),
        end=st.sampled_from(["ok", "fail", "fail", "void"]),
    )
    def end_call(self, who: int, which: int, end: str) -> None:
        process = self.processes[who]
        if not process.calls:
            return
        call = process.calls.pop(which % len(process.calls))
        late = call.admission.key != process.gate.passing.key
        if late:  # a server that lost everything is told again what this process knows; that is no result's doing
            process.gate.exchange()
        before = replace(self.server.model._snapshot(self.server.now, False), age=0, probes=0)
        if end == "ok":
            process.gate.succeeded(call.admission, call.started)
        elif end == "fail":
            process.gate.failed(call.admission, call.started)
        else:
            process.gate.voided(call.admission)
        after = replace(self.server.model._snapshot(self.server.now, False), age=0, probes=0)
        if late:
            assert after == before, "a result from an earlier state changed something"

    @rule(who=st.integers(0, PROCESSES - 1), times=st.integers(1, 4))
    def fail_in_a_row(self, who: int, times: int) -> None:
        process = self.processes[who]
        for _ in range(times):
            if process.start():
                call = process.calls.pop()
                process.gate.failed(call.admission, call.started)

    @rule(seconds=st.sampled_from([0.05, 0.1, 0.6, 1.5, 4.0, 6.0, 9.0]))
    def advance(self, seconds: float) -> None:
        self.server.now += round(seconds * 1000)
        for process in self.processes:
            process.clock.advance(seconds)

    @rule(who=st.integers(0, PROCESSES - 1), hours=st.integers(-2, 2))
    def jump_client_clock(self, who: int, hours: int) -> None:
        self.processes[who].clock.jump_wall(hours * 3600)

    @rule(seconds=st.sampled_from([-3600, -2, 2, 3600]))
    def jump_server_clock(self, seconds: int) -> None:
        self.server.now += seconds * 1000
        self.server.leases = {}  # a lease's end has moved; what is granted from here on is watched again

    @rule()
    def lose_everything(self) -> None:
        self.server.redis.flushall()
        self.server.leases = {}
        self.server.model.lose()

    @rule(who=st.integers(0, PROCESSES - 1), line=st.sampled_from(["fine", "cut", "loses replies"]))
    def change_line(self, who: int, line: str) -> None:
        self.processes[who].store.line = line

    @rule(who=st.integers(0, PROCESSES - 1))
    def kill_and_replace(self, who: int) -> None:
        self.processes[who] = Process(self.server, NODES[who], self.processes[who].clock)

    @rule(
        who=st.integers(0, PROCESSES - 1),
        action=st.sampled_from(["open", "closed", "disabled", "clear", "reset"]),
        seconds=st.sampled_from([-0.001, 1.0, 20.0]),
    )
    def override(self, who: int, action: str, seconds: float) -> None:
        gate = self.processes[who].gate
        try:
            gate.override(action, for_ms=round(seconds * 1000), reason="said so", by="ops")
        except BreakerStoreError:
            assert self.processes[who].store.line != "fine"

    @precondition(lambda self: all(process.store.line == "fine" for process in self.processes))
    @rule()
    def everybody_agrees_within_moments(self) -> None:
        self.advance(0.6)
        for process in (*self.processes, *self.processes):
            process.gate.exchange()
        views = [process.gate.view for process in self.processes]
        assert len({view.snapshot.generation for view in views if view}) == 1
        if self.config.quorum == 1:
            assert len({view.snapshot.state for view in views if view}) == 1

    @invariant()
    def key_is_as_the_model(self) -> None:
        if not hasattr(self, "server"):
            return
        stored: Any = self.server.redis.hmget("t:breaker:dep", "gen", "state")
        if stored[0] is not None:
            assert (int(stored[0]), text(stored[1])) == (self.server.model.generation, self.server.model.state)

    def teardown(self) -> None:
        """Whatever happened: with everything mended it is closed again in bounded time."""
        if not hasattr(self, "server"):
            return
        for process in self.processes:
            process.store.line = "fine"
            process.calls.clear()  # lost, as if their process had been killed
        self.advance(0.6)
        for process in self.processes:  # all that anybody knows, so that the newest of it is cleared
            process.gate.exchange()
        self.processes[0].gate.override("clear", for_ms=-1, reason="", by="")
        self.advance(8.0 * 1.5 + LEASE)
        for _ in range(4):
            for process in self.processes:
                if process.start():
                    call = process.calls.pop()
                    process.gate.succeeded(call.admission, call.started)
            self.advance(0.6)
        for process in self.processes:
            assert process.gate.exchange().snapshot.state is CircuitState.CLOSED


@pytest.mark.parametrize("number", range(len(CONFIGS)))
def test_fleet_against_model(number: int) -> None:
    machine = type(f"Fleet{number}", (FleetMachine,), {"config": CONFIGS[number]})
    limits = settings(max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=limits)


def begun() -> FleetMachine:
    fleet = FleetMachine()
    fleet.begin()
    return fleet


def with_a_probe_in_flight(fleet: FleetMachine) -> None:
    """Lost under an override, told again by one who knew it, and cleared: the next call is a probe."""
    fleet.override(0, "open", -0.001)
    fleet.advance(0.1)
    fleet.lose_everything()
    fleet.start_call(0)
    fleet.override(0, "clear", 1.0)
    fleet.start_call(0)
    assert [call.admission.lease != "" for call in fleet.processes[0].calls] == [True]


def test_a_probe_of_a_breaker_that_was_reset_gives_its_place_back() -> None:
    fleet = begun()
    with_a_probe_in_flight(fleet)
    fleet.override(0, "reset", 1.0)
    fleet.end_call(0, 0, "void")
    assert fleet.processes[0].gate.exchange().snapshot.probes == 0


def test_a_late_probe_tells_a_server_that_lost_everything_what_is_known_and_no_more() -> None:
    fleet = begun()
    with_a_probe_in_flight(fleet)
    fleet.override(0, "open", 20.0)
    fleet.lose_everything()
    fleet.end_call(0, 0, "ok")
    assert fleet.server.model.successes == 0
    assert fleet.processes[0].gate.exchange().snapshot.override is Override.OPEN
