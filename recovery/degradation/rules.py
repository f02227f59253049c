"""Automatic degradation, pure: a rule, its state, a signal's value and the time give its next state.

The thresholds are a Schmitt trigger; the flap limit is the damping idea of RFC 2439 in its simplest form: whoever
flaps waits before it is believed again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from recovery.degradation.entries import Scope, valid_name
from recovery.degradation.modes import DegradationMode, OperationType

FLAP_WINDOW = 600.0
NEVER = -math.inf


@dataclass(frozen=True, slots=True)
class Rule:
    """Puts `component` (or one `operation` type of it) into `mode` while `signal` is bad.

    Bad begins at `enter` and ends at `leave`; with `enter` below `leave`, small values are the bad ones. The mode
    changes one step at a time in both directions, and stays at least `dwell` seconds at each step. A step up within
    `flap_window` seconds (600) of a step down is a flap; after it the rule steps down no sooner than `flap_window`
    later, so it flaps at most once in that time. A rule without a value for its signal stays as it is, and so does one
    whose signal is not a number or lies outside of `plausible` (by default: is negative): no rule acts on nonsense.

    Raises ValueError, InvalidName or UnknownOperation for a rule that cannot work.
    """

    name: str
    component: str
    signal: str
    enter: float
    leave: float
    mode: DegradationMode
    dwell: float
    operation: OperationType | None = None
    flap_window: float = FLAP_WINDOW
    plausible: tuple[float, float] = (0.0, math.inf)

    def __post_init__(self) -> None:
        valid_name(self.name)
        Scope.of(self.component, self.operation)
        if self.enter == self.leave or not (math.isfinite(self.enter) and math.isfinite(self.leave)):
            raise ValueError(f"rule {self.name}: enter and leave must be two different numbers")
        if self.mode is DegradationMode.NORMAL:
            raise ValueError(f"rule {self.name}: a rule to NORMAL would never do anything")
        if not (0 <= self.dwell < math.inf and 0 <= self.flap_window < math.inf):
            raise ValueError(f"rule {self.name}: dwell and flap_window must be seconds, 0 or more")
        if not (self.believes(self.enter) and self.believes(self.leave)):
            raise ValueError(f"rule {self.name}: enter and leave must be plausible values")

    @property
    def scope(self) -> Scope:
        return Scope.of(self.component, self.operation)

    def believes(self, value: float | None) -> bool:
        """Whether `value` can be a true measurement."""
        lowest, highest = self.plausible
        return value is not None and math.isfinite(value) and lowest <= value <= highest

    def is_bad(self, value: float) -> bool:
        """Whether `value` has reached the enter threshold."""
        return value >= self.enter if self.enter > self.leave else value <= self.enter

    def is_good(self, value: float) -> bool:
        """Whether `value` has reached the leave threshold; between the two it is neither."""
        return value <= self.leave if self.enter > self.leave else value >= self.leave


@dataclass(frozen=True, slots=True)
class RuleState:
    """Where a rule stands. Times are seconds of one clock that all evaluators share: the server's."""

    mode: DegradationMode = DegradationMode.NORMAL
    changed_at: float = NEVER
    eased_at: float = NEVER
    flapped_at: float = NEVER


CALM = RuleState()


def next_state(rule: Rule, state: RuleState, value: float | None, now: float) -> RuleState:
    """The state of `rule` at `now` (seconds) when its signal is `value`; `state` itself if nothing changes."""
    if value is None or not rule.believes(value) or now < state.changed_at + rule.dwell:
        return state
    if rule.is_bad(value) and state.mode < rule.mode:
        flap = now < state.eased_at + rule.flap_window
        return replace(
            state,
            mode=state.mode.step_towards(rule.mode),
            changed_at=now,
            flapped_at=now if flap else state.flapped_at,
        )
    too_strict = state.mode > rule.mode  # the rule was made milder since
    if (rule.is_good(value) and state.mode > DegradationMode.NORMAL) or too_strict:
        if now < state.flapped_at + rule.flap_window:
            return state
        return replace(state, mode=state.mode.step_towards(DegradationMode.NORMAL), changed_at=now, eased_at=now)
    return state


@dataclass(frozen=True, slots=True)
class Decision:
    """A rule changed its mode because its signal had `value`."""

    rule: Rule
    was: RuleState
    state: RuleState
    value: float


class RuleEngine:
    """Several rules evaluated together. Pure but for the states that it keeps between calls."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = {rule.name: rule for rule in rules}
        self.states: dict[str, RuleState] = {}

    def evaluate(self, signals: Mapping[str, float], now: float) -> list[Decision]:
        """What changes at `now` (seconds), given the signals that could be measured. Updates `states`."""
        decisions = []
        for rule in self.rules.values():
            was = self.states.get(rule.name, CALM)
            value = signals.get(rule.signal)
            state = next_state(rule, was, value, now)
            if value is not None and state is not was:
                decisions.append(Decision(rule, was, state, value))
                self.states[rule.name] = state
        return decisions
