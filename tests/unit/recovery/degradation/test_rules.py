"""Automatic rules: thresholds, steps, dwell and the flap limit, on a clock of our own."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.degradation import DegradationMode, Rule, RuleEngine
from recovery.degradation.rules import CALM, RuleState, next_state
from tasks.policies import PIPELINE_RULES

NORMAL, READ_ONLY, ESSENTIAL_ONLY, OFFLINE = DegradationMode


def rule(**changes: object) -> Rule:
    options: dict[str, object] = {
        "name": "late", "component": "store", "signal": "lag_s", "enter": 10.0, "leave": 2.0,
        "mode": OFFLINE, "dwell": 5.0,
    }  # fmt: skip
    return Rule(**{**options, **changes})  # type: ignore[arg-type]


def modes(engine: RuleEngine, signal: str, values: list[tuple[float, float]]) -> list[DegradationMode]:
    """The rule's mode after each (time, value)."""
    seen = []
    for now, value in values:
        engine.evaluate({signal: value}, now)
        (name,) = engine.rules
        seen.append(engine.states.get(name, CALM).mode)
    return seen


def test_between_the_thresholds_nothing_changes() -> None:
    engine = RuleEngine([rule(dwell=0.0, mode=READ_ONLY)])
    values = [(0.0, 9.9), (1.0, 10.0), (2.0, 9.0), (3.0, 2.1), (4.0, 2.0), (5.0, 9.9)]
    assert modes(engine, "lag_s", values) == [NORMAL, READ_ONLY, READ_ONLY, READ_ONLY, NORMAL, NORMAL]


def test_small_values_are_bad_when_enter_is_below_leave() -> None:
    engine = RuleEngine([rule(enter=0.05, leave=0.1, dwell=0.0, mode=READ_ONLY)])
    assert modes(engine, "lag_s", [(0.0, 0.2), (1.0, 0.05), (2.0, 0.09), (3.0, 0.1)]) == [
        NORMAL, READ_ONLY, READ_ONLY, NORMAL,
    ]  # fmt: skip


def test_one_step_up_per_dwell_and_one_step_down_per_dwell() -> None:
    engine = RuleEngine([rule()])
    up = modes(engine, "lag_s", [(100.0, 50.0), (104.9, 50.0), (105.0, 50.0), (110.0, 50.0), (200.0, 50.0)])
    assert up == [READ_ONLY, READ_ONLY, ESSENTIAL_ONLY, OFFLINE, OFFLINE]
    down = modes(engine, "lag_s", [(201.0, 0.0), (205.9, 0.0), (206.0, 0.0), (211.0, 0.0), (999.0, 0.0)])
    assert down == [ESSENTIAL_ONLY, ESSENTIAL_ONLY, READ_ONLY, NORMAL, NORMAL]


def test_after_a_flap_the_rule_stays_strict_for_ten_minutes() -> None:
    engine = RuleEngine([rule(mode=READ_ONLY)])
    seen = modes(engine, "lag_s", [(0.0, 50.0), (10.0, 0.0), (20.0, 50.0), (619.9, 0.0), (620.0, 0.0)])
    assert seen == [READ_ONLY, NORMAL, READ_ONLY, READ_ONLY, NORMAL]


def test_a_second_incident_much_later_is_no_flap() -> None:
    engine = RuleEngine([rule(mode=READ_ONLY)])
    assert modes(engine, "lag_s", [(0.0, 50.0), (10.0, 0.0), (610.0, 50.0), (615.0, 0.0)])[-1] is NORMAL


NONSENSE = [math.nan, math.inf, -math.inf, -1.0, 1.8e9]


@pytest.mark.parametrize("missing", [{}, {"other": 0.0}, *({"lag_s": value} for value in NONSENSE)])
def test_a_rule_without_its_signal_stays_as_it_is(missing: dict[str, float]) -> None:
    engine = RuleEngine([rule(mode=READ_ONLY, plausible=(0.0, 1e6))])
    assert engine.evaluate(missing, -1000.0) == []
    engine.evaluate({"lag_s": 50.0}, 0.0)
    assert engine.evaluate(missing, 1000.0) == []
    assert engine.states["late"].mode is READ_ONLY


@pytest.mark.parametrize(
    "wrong",
    [
        {"enter": 2.0},
        {"mode": NORMAL},
        {"dwell": -1.0},
        {"enter": math.inf},
        {"flap_window": math.nan},
        {"plausible": (3.0, 9.0)},
    ],
)
def test_rules_that_cannot_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="rule late"):
        rule(**wrong)


def test_a_rule_made_milder_steps_back_to_its_new_mode() -> None:
    strict = RuleState(mode=OFFLINE, changed_at=0.0)
    assert next_state(rule(mode=READ_ONLY), strict, 50.0, 10.0).mode is ESSENTIAL_ONLY


#: Seconds to the next look, and the signal then: below leave, between, above enter.
STEPS = st.lists(st.tuples(st.floats(0.0, 400.0), st.sampled_from([0.0, 5.0, 50.0])), max_size=60)


@given(STEPS, st.sampled_from([READ_ONLY, ESSENTIAL_ONLY, OFFLINE]))
def test_whatever_the_signal_does_steps_are_single_and_flaps_rare(
    steps: list[tuple[float, float]], worst: DegradationMode
) -> None:
    subject = rule(mode=worst)
    now, changes, state = 0.0, [(-math.inf, NORMAL)], CALM
    for seconds, value in steps:
        now += seconds
        following = next_state(subject, state, value, now)
        if following.mode != state.mode:
            changes.append((now, following.mode))
        state = following
    for (earlier, was), (later, mode) in pairwise(changes):
        assert abs(mode - was) == 1, "one step at a time"
        assert later - earlier >= subject.dwell, "the dwell is kept"
    flaps = _flaps(changes)
    assert all(later - earlier >= 600.0 for earlier, later in pairwise(flaps)), "one flap in ten minutes"
    assert all(mode <= worst for _, mode in changes)


def _flaps(changes: list[tuple[float, DegradationMode]]) -> list[float]:
    """Times at which the mode, eased less than ten minutes before, began to get stricter again."""
    flaps = []
    eased_at, easing = -math.inf, False
    for (_, was), (now, mode) in pairwise(changes):
        if mode < was:
            eased_at, easing = now, True
        elif easing:
            easing = False
            if now - eased_at < 600.0:
                flaps.append(now)
    return flaps


def test_the_pipelines_rules_are_valid_and_cover_every_danger() -> None:
    rules = PIPELINE_RULES
    assert {each.signal for each in rules} == {
        "breaker_open_s", "backlog_age_s", "redis_memory_ratio",
        "archive_writable", "seal_lag_s", "disk_free_ratio",
    }  # fmt: skip
    assert len({each.name for each in rules}) == len(rules)


def test_none_of_the_pipelines_rules_acts_on_nonsense() -> None:
    for each in PIPELINE_RULES:
        for value in NONSENSE:
            assert next_state(each, CALM, value, 0.0) is CALM, each.name


@pytest.mark.parametrize("signal", ["breaker_open_s", "backlog_age_s", "redis_memory_ratio"])
def test_no_rule_stops_the_work_that_heals_its_own_signal(signal: str) -> None:
    assert {each.component for each in PIPELINE_RULES if each.signal == signal} == {"intake"}
