"""Several managers, time, expiries, rules and losses of Redis in any order, against a pure model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import fakeredis
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recovery.clock import ManualClock
from recovery.degradation import (
    SYSTEM,
    DegradationManager,
    DegradationMode,
    ModesUnavailable,
    OperationType,
    Rule,
    SharedRules,
)
from recovery.degradation.modes import is_allowed
from recovery.degradation.rules import CALM, RuleState, next_state

MANAGERS = 3
COMPONENTS = (SYSTEM, "ledger", "rpc")
OPERATIONS = (None, "WRITE", "READ")
RULE = Rule("late", "ledger", "lag_s", enter=10, leave=2, mode=DegradationMode.OFFLINE, dwell=5, flap_window=60)

managers = st.integers(0, MANAGERS - 1)
components = st.sampled_from(COMPONENTS)
operations = st.sampled_from(OPERATIONS)
modes = st.sampled_from(DegradationMode)

Scope = tuple[str, str | None]


@dataclass(frozen=True)
class Override:
    """The model's idea of an entry; `ends` is a time of the server."""

    mode: DegradationMode
    ends: float

    def rules_at(self, now: float) -> bool:
        return now < self.ends


class Model:
    """What the table should hold: overrides by scope, and the rule's state; `changes` counts up."""

    def __init__(self) -> None:
        self.overrides: dict[Scope, Override] = {}
        self.rule: RuleState = CALM
        self.changes = 0

    def copy(self) -> Model:
        other = Model()
        other.overrides, other.rule, other.changes = dict(self.overrides), self.rule, self.changes
        return other

    def mode(self, component: str, operation: str | None, now: float) -> DegradationMode:
        covering = {(component, operation), (component, None), (SYSTEM, operation), (SYSTEM, None)}
        ruling = [o.mode for scope, o in self.overrides.items() if scope in covering and o.rules_at(now)]
        if component == RULE.component:
            ruling.append(self.rule.mode)
        return max(ruling, default=DegradationMode.NORMAL)


class Fleet(RuleBasedStateMachine):
    """`seen[i]` is what manager i knows; the server's clock is the model's, the managers' wall clocks run wild."""

    @initialize()
    def build(self) -> None:
        self.server = ManualClock()
        self.clocks = [ManualClock(start=10_000.0 * i) for i in range(MANAGERS)]
        self.redis = fakeredis.FakeServer(version=(6, 2))
        self.managers = [self._manager(clock) for clock in self.clocks]
        self.evaluators = [SharedRules(manager, [RULE]) for manager in self.managers]
        self.truth = Model()
        self.seen = [Model() for _ in range(MANAGERS)]

    def _manager(self, clock: ManualClock) -> DegradationManager:
        client = fakeredis.FakeRedis(server=self.redis)
        return DegradationManager(client, clock=clock, server_time=self.server.time, poll_timeout=5.0)

    @property
    def up(self) -> bool:
        return bool(self.redis.connected)

    @rule(i=managers, component=components, operation=operations, mode=modes, duration=st.sampled_from([None, 1, 30]))
    def set_mode(
        self, i: int, component: str, operation: str | None, mode: DegradationMode, duration: float | None
    ) -> None:
        def change() -> object:
            return self.managers[i].set_component_mode(component, mode, operation=operation, duration=duration)

        if not self.up:
            self._refused(change)
            return
        change()
        ends = float("inf") if duration is None else self.server.time() + duration
        self.truth.overrides[component, operation] = Override(mode, ends)
        self.truth.changes += 1
        self.seen[i] = self.truth.copy()

    @rule(i=managers, component=components, operation=operations)
    def clear(self, i: int, component: str, operation: str | None) -> None:
        if not self.up:
            self._refused(lambda: self.managers[i].clear(component, operation=operation))
            return
        was = self.truth.overrides.pop((component, operation), None)
        self.truth.changes += was is not None
        expected = was is not None and was.rules_at(self.server.time())
        assert self.managers[i].clear(component, operation=operation) is expected
        self.seen[i] = self.truth.copy()

    @rule(i=managers, lag=st.sampled_from([0.0, 5.0, 50.0]))
    def evaluate(self, i: int, lag: float) -> None:
        if not self.up:
            self._refused(lambda: self.evaluators[i].evaluate({"lag_s": lag}))
            return
        before = self.truth.rule
        self.truth.rule = next_state(RULE, before, lag, self.server.time())
        self.truth.changes += self.truth.rule is not before
        decided = self.evaluators[i].evaluate({"lag_s": lag})
        assert bool(decided) == (self.truth.rule is not before)
        self.seen[i] = self.truth.copy()

    @rule(seconds=st.sampled_from([1.0, 5.0, 20.0, 70.0]))
    def wait(self, seconds: float) -> None:
        self._advance(seconds)
        self._everybody_looks()

    @rule(i=managers, seconds=st.sampled_from([-3600.0, 3600.0]))
    def client_clock_jumps(self, i: int, seconds: float) -> None:
        self.clocks[i].jump_wall(seconds)

    @precondition(lambda self: self.up)
    @rule()
    def redis_goes_away(self) -> None:
        self.redis.connected = False

    @precondition(lambda self: not self.up)
    @rule(emptied=st.booleans())
    def redis_comes_back(self, emptied: bool) -> None:
        self.redis.connected = True
        if emptied:
            fakeredis.FakeRedis(server=self.redis).flushall()
            self._pass_on_the_newest()

    @precondition(lambda self: self.up)
    @rule()
    def redis_is_emptied(self) -> None:
        fakeredis.FakeRedis(server=self.redis).flushall()
        self._pass_on_the_newest()

    def _pass_on_the_newest(self) -> None:
        """The managers look in turn; the newest of their copies becomes the table again, for all."""
        self._advance(1.0)
        for manager in self.managers:
            manager.get_component_mode("ledger")
        self.truth = max(self.seen, key=lambda model: model.changes).copy()
        self._advance(1.0)
        self._everybody_looks()

    def _advance(self, seconds: float) -> None:
        for clock in (self.server, *self.clocks):
            clock.advance(seconds)

    def _everybody_looks(self) -> None:
        if self.up:
            for i, manager in enumerate(self.managers):
                manager.get_component_mode("ledger")
                self.seen[i] = self.truth.copy()

    def _refused(self, change: Callable[[], object]) -> None:
        with pytest.raises(ModesUnavailable):
            change()

    @invariant()
    def everybody_answers_as_the_model_does(self) -> None:
        now = self.server.time()
        for manager, seen in zip(self.managers, self.seen, strict=True):
            for component in COMPONENTS:
                for operation in OPERATIONS:
                    mode = seen.mode(component, operation, now)
                    assert manager.get_component_mode(component, operation) is mode, (component, operation)
            for kind in OperationType:
                expected = is_allowed(seen.mode("ledger", kind.value, now), kind)
                assert manager.is_operation_allowed("ledger", kind) == expected


Fleet.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestFleet = Fleet.TestCase
