"""An operator's word beats the rules, for as long as it holds; with Redis and without."""

from __future__ import annotations

import pytest

from recovery.breaker import CircuitBreakerConfig, CircuitState, Override
from tests.support.breaker.worlds import World, assert_refused, fail_times, work

CONFIG = CircuitBreakerConfig(failure_threshold=2, timeout=5.0, success_threshold=1)


def test_forced_open_refuses_until_its_time_is_over(world: World) -> None:
    breaker = world.breaker(CONFIG)
    breaker.override(Override.OPEN, "maintenance", duration=60, by="ops")
    refused = assert_refused(breaker)
    assert refused.reason == "maintenance"
    assert refused.retry_after == pytest.approx(60)
    world.advance(59.9)
    assert_refused(breaker)
    world.advance(0.2)
    assert breaker.call(work) == "done"
    assert breaker.snapshot().override is None


def test_forced_open_without_end_holds_until_cleared(world: World) -> None:
    breaker = world.breaker(CONFIG)
    breaker.override(Override.OPEN, "maintenance")
    world.advance(1_000_000)
    assert_refused(breaker)
    breaker.clear()
    assert breaker.call(work) == "done"


def test_forced_closed_lets_through_whatever_happens(world: World) -> None:
    breaker = world.breaker(CONFIG)
    fail_times(breaker, 2)
    breaker.override(Override.CLOSED, "we know better", duration=60)
    fail_times(breaker, 10)
    assert breaker.state() is CircuitState.CLOSED
    world.advance(61)
    fail_times(breaker, 2)
    assert_refused(breaker)


def test_disabled_counts_and_moves_but_never_refuses(world: World) -> None:
    breaker = world.breaker(CONFIG)
    breaker.override(Override.DISABLED, "trying it out")
    fail_times(breaker, 2)
    assert breaker.state() is CircuitState.OPEN
    assert breaker.call(work) == "done"
    world.advance(5)
    assert breaker.call(work) == "done"
    assert breaker.state() is CircuitState.CLOSED
    fail_times(breaker, 7)
    assert breaker.state() is CircuitState.OPEN
    breaker.clear()
    assert_refused(breaker)


def test_reset_starts_from_nothing(world: World) -> None:
    breaker = world.breaker(CONFIG)
    fail_times(breaker, 2)
    breaker.override(Override.DISABLED, "anything")
    breaker.reset()
    snapshot = breaker.snapshot()
    assert (snapshot.state, snapshot.override, snapshot.trips) == (CircuitState.CLOSED, None, 0)
    fail_times(breaker, 1)
    assert breaker.state() is CircuitState.CLOSED


def test_an_override_makes_results_in_flight_worthless(world: World) -> None:
    breaker = world.breaker(CircuitBreakerConfig(failure_threshold=1))
    early = breaker.permit()
    early.__enter__()
    breaker.reset()
    error = OSError("early")
    early.__exit__(OSError, error, None)
    assert breaker.state() is CircuitState.CLOSED
