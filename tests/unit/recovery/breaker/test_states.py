"""What a breaker does by its rules; the same with Redis and without."""

from __future__ import annotations

import pytest

from recovery.breaker import CircuitBreaker, CircuitBreakerConfig, CircuitOpenError, CircuitState
from tests.support.breaker.worlds import World, assert_refused, fail, fail_times, work

CONFIG = CircuitBreakerConfig(failure_threshold=3, timeout=5.0, success_threshold=2)


def test_opens_at_the_threshold_and_not_before(world: World) -> None:
    breaker = world.breaker(CONFIG)
    fail_times(breaker, 2)
    assert breaker.state() is CircuitState.CLOSED
    fail_times(breaker, 1)
    assert breaker.state() is CircuitState.OPEN


def test_a_success_in_between_starts_the_count_again(world: World) -> None:
    breaker = world.breaker(CONFIG)
    for _ in range(5):
        fail_times(breaker, 2)
        breaker.call(work)
    assert breaker.state() is CircuitState.CLOSED


def test_retry_after_counts_down(world: World) -> None:
    breaker = world.breaker(CONFIG)
    fail_times(breaker, 3)
    assert assert_refused(breaker).retry_after == pytest.approx(5.0)
    world.advance(3)
    refused = assert_refused(breaker)
    assert refused.retry_after == pytest.approx(2.0)
    assert refused.reason == "consecutive failures"


def test_closes_after_enough_good_probes(world: World) -> None:
    breaker = world.breaker(CONFIG)
    fail_times(breaker, 3)
    world.advance(5)
    assert breaker.call(work) == "done"
    assert breaker.state() is CircuitState.HALF_OPEN
    assert breaker.call(work) == "done"
    assert breaker.state() is CircuitState.CLOSED


def test_a_bad_probe_opens_it_again(world: World) -> None:
    breaker = world.breaker(CONFIG)
    fail_times(breaker, 3)
    world.advance(5)
    breaker.call(work)
    fail_times(breaker, 1)
    refused = assert_refused(breaker)
    assert refused.retry_after == pytest.approx(5.0)
    assert refused.reason == "probe failed"


def test_only_as_many_probes_as_configured(world: World) -> None:
    breaker = world.breaker(CircuitBreakerConfig(failure_threshold=1, timeout=1, half_open_probes=2))
    fail_times(breaker, 1)
    world.advance(1)
    with breaker.permit(), breaker.permit():
        refused = assert_refused(breaker)
        assert 0 < refused.retry_after <= 0.1
    assert breaker.state() is CircuitState.CLOSED


def test_a_lost_probe_gives_its_place_back_when_the_lease_ends(world: World) -> None:
    config = CircuitBreakerConfig(failure_threshold=1, timeout=1, success_threshold=1, probe_lease=4)
    breaker = world.breaker(config)
    fail_times(breaker, 1)
    world.advance(1)
    lost = breaker.permit()
    lost.__enter__()
    world.advance(3.9)
    assert_refused(breaker)
    world.advance(0.2)
    breaker.call(work)
    assert breaker.state() is CircuitState.CLOSED
    with pytest.raises(OSError, match="late"):  # noqa: PT012
        try:
            raise OSError("late")
        except OSError as error:
            lost.__exit__(OSError, error, None)
            raise
    assert breaker.state() is CircuitState.CLOSED


@pytest.mark.parametrize("good", [True, False])
def test_a_result_from_before_the_trip_is_ignored(world: World, good: bool) -> None:
    breaker = world.breaker(CONFIG)
    early = breaker.permit()
    early.__enter__()
    fail_times(breaker, 3)
    world.advance(5)
    with breaker.permit():  # half-open now
        before = breaker.snapshot()
        error = None if good else OSError("early")
        early.__exit__(type(error) if error else None, error, None)
        after = breaker.snapshot()
    assert (after.state, after.successes, after.generation) == (before.state, 0, before.generation)


def test_failure_rate_needs_its_minimum_of_calls(world: World) -> None:
    config = CircuitBreakerConfig(failure_threshold=100, failure_rate=0.5, minimum_calls=10, window=10, timeout=1)
    breaker = world.breaker(config)
    for _ in range(4):
        breaker.call(work)
        fail_times(breaker, 1)
    assert breaker.state() is CircuitState.CLOSED
    breaker.call(work)
    fail_times(breaker, 1)
    assert breaker.snapshot().reason == "failure rate"


def test_the_window_forgets(world: World) -> None:
    config = CircuitBreakerConfig(failure_threshold=100, failure_rate=0.5, minimum_calls=4, window=10)
    breaker = world.breaker(config)
    fail_times(breaker, 3)
    world.advance(10.1)
    fail_times(breaker, 3)
    assert breaker.state() is CircuitState.CLOSED
    fail_times(breaker, 1)
    assert breaker.state() is CircuitState.OPEN


def test_slow_calls_open_it_although_they_succeed(world: World) -> None:
    config = CircuitBreakerConfig(slow_call_rate=0.5, slow_call_duration=2, minimum_calls=4, window=60)
    breaker = world.breaker(config)
    for _ in range(4):
        breaker.call(world.advance, 2.5)
    world.advance(0.2)
    assert assert_refused(breaker).reason == "slow call rate"


def test_a_slow_probe_is_a_bad_probe(world: World) -> None:
    config = CircuitBreakerConfig(failure_threshold=1, timeout=1, slow_call_rate=0.5, slow_call_duration=2)
    breaker = world.breaker(config)
    fail_times(breaker, 1)
    world.advance(1)
    breaker.call(world.advance, 3)
    assert breaker.state() is CircuitState.OPEN


def test_open_time_grows_up_to_its_cap_and_forgets_after_health(world: World) -> None:
    config = CircuitBreakerConfig(failure_threshold=1, timeout=1, success_threshold=1, timeout_growth=3, max_timeout=5)
    breaker = world.breaker(config)
    waits = []
    for _ in range(4):
        fail_times(breaker, 1)
        waits.append(assert_refused(breaker).retry_after)
        world.advance(waits[-1])
    assert waits == pytest.approx([1, 3, 5, 5])
    breaker.call(work)
    world.advance(5)
    fail_times(breaker, 1)
    assert assert_refused(breaker).retry_after == pytest.approx(1)


def test_flapping_right_after_closing_keeps_growing(world: World) -> None:
    config = CircuitBreakerConfig(failure_threshold=1, timeout=2, success_threshold=1, timeout_growth=2)
    breaker = world.breaker(config)
    fail_times(breaker, 1)
    world.advance(2)
    breaker.call(work)
    fail_times(breaker, 1)
    assert assert_refused(breaker).retry_after == pytest.approx(4)


def test_jitter_only_lengthens(world: World) -> None:
    config = CircuitBreakerConfig(failure_threshold=1, timeout=10, timeout_jitter=0.5)
    waits = set()
    for number in range(12):
        breaker = world.breaker(config, name=f"dep{number}")
        fail_times(breaker, 1)
        waits.add(assert_refused(breaker).retry_after)
    assert all(10 <= wait <= 15 for wait in waits)
    assert len(waits) > 6


def test_the_ramp_lets_a_growing_share_through(world: World) -> None:
    config = CircuitBreakerConfig(failure_threshold=1, timeout=1, success_threshold=1, ramp=10, ramp_start=0.1)
    breaker = world.breaker(config)
    breaker._control._random.seed(7)
    fail_times(breaker, 1)
    world.advance(1)
    breaker.call(work)
    assert breaker.state() is CircuitState.CLOSED

    def share() -> float:
        world.advance(0.11)
        return sum(_passes(breaker) for _ in range(400)) / 400

    assert 0.05 < share() < 0.18
    world.advance(5)
    assert 0.45 < share() < 0.65
    world.advance(5)
    assert share() == 1.0


def _passes(breaker: CircuitBreaker) -> bool:
    try:
        breaker.call(work)
    except CircuitOpenError:
        return False
    return True


def test_a_failure_costs_the_caller_only_its_own_error(world: World) -> None:
    breaker = world.breaker(CONFIG)
    with pytest.raises(OSError, match="ill"):
        breaker.call(fail)


def test_a_failure_from_before_the_trip_does_not_count_after_the_recovery_either(world: World) -> None:
    config = CircuitBreakerConfig(failure_threshold=1, timeout=1, success_threshold=1)
    breaker = world.breaker(config)
    early = breaker.permit()
    early.__enter__()
    fail_times(breaker, 1)
    world.advance(1)
    breaker.call(work)
    assert breaker.state() is CircuitState.CLOSED
    early.__exit__(OSError, OSError("early"), None)
    assert breaker.state() is CircuitState.CLOSED


def test_a_probe_of_an_earlier_spell_keeps_its_place_until_it_ends(world: World) -> None:
    config = CircuitBreakerConfig(failure_threshold=1, timeout=1, half_open_probes=2)
    breaker = world.breaker(config)
    fail_times(breaker, 1)
    world.advance(1)
    early = breaker.permit()
    early.__enter__()
    fail_times(breaker, 1)
    world.advance(1)
    with breaker.permit():
        assert_refused(breaker)
        early.__exit__(OSError, OSError("early"), None)
        assert breaker.call(work) == "done"


def test_a_success_from_before_the_trip_breaks_no_later_streak(world: World) -> None:
    breaker = world.breaker(CircuitBreakerConfig(failure_threshold=2, timeout=1, success_threshold=1))
    early = breaker.permit()
    early.__enter__()
    fail_times(breaker, 2)
    world.advance(1)
    breaker.call(work)
    fail_times(breaker, 1)
    early.__exit__(None, None, None)
    fail_times(breaker, 1)
    assert breaker.state() is CircuitState.OPEN
