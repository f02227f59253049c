"""The retry budget: never more retries than its share, by whatever processes and in whatever order."""

from __future__ import annotations

import itertools
import logging
from typing import Any

import fakeredis
import pytest
import redis
from fakeredis.commands_mixins import server_mixin
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recovery import RetryBudget, RetryPolicy, TransientError
from recovery.clock import ManualClock
from recovery.retry.budget import FLUSH_EVERY
from recovery.retry.token_bucket import TokenBucket

RATIO = 0.2
FIRST = 1  # a new bucket holds one token

Step = tuple[int, str]
STEPS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["success"] * 4 + ["retry"])), max_size=300)


class OneClock:
    """Whole microseconds, for a fake Redis (its TIME) and for a process beside it."""

    def __init__(self) -> None:
        self.microseconds = 1_700_000_000_000_000

    def time(self) -> float:
        return self.microseconds / 1_000_000

    def monotonic(self) -> float:
        return self.time()

    def sleep(self, seconds: float) -> None:
        raise NotImplementedError


def play(budgets: list[RetryBudget], steps: list[Step]) -> None:
    successes = retries = 0
    for process, what in steps:
        if what == "success":
            budgets[process].record_success()
            successes += 1
        else:
            retries += budgets[process].try_retry()
        assert 5 * retries <= successes + 5 * FIRST  # RATIO, in whole numbers


def test_what_is_left_is_told_and_costs_nothing() -> None:
    clock = ManualClock()
    client = fakeredis.FakeRedis(version=(6, 2))
    client.flushall()
    for budget in (RetryBudget(client, ratio=RATIO, floor_per_second=0), RetryBudget(ratio=RATIO, floor_per_second=0)):
        assert budget.available() == budget.available() == 1.0
        assert budget.try_retry()
        assert budget.available() == 0.0
    dripping = RetryBudget(floor_per_second=2.0, clock=clock)
    assert dripping.try_retry()
    clock.sleep(0.5)
    assert dripping.available() == 2.0


@given(STEPS)
@settings(max_examples=40, deadline=None)
def test_any_interleaving_of_processes_stays_within_the_share(steps: list[Step]) -> None:
    client = fakeredis.FakeRedis(version=(6, 2))
    client.flushall()
    play([RetryBudget(client, ratio=RATIO, floor_per_second=0) for _ in range(4)], steps)


#: What happens to a budget: successes, a retry, or some microseconds that pass.
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("success"), st.integers(1, 20)),
        st.tuples(st.just("retry"), st.integers(1, 5)),
        st.tuples(st.just("time"), st.integers(1, 3_000_000)),
    ),
    max_size=60,
)
#: Ratios whose sums are whole in decimal and not in binary, and any others.
RATIOS = st.sampled_from([0.1, 0.2, 0.3, 0.7, 1 / 3, 0.05]) | st.floats(0, 1)
FLOORS = st.sampled_from([0.0, 0.1, 1.0, 0.3]) | st.floats(0, 10)


@given(EVENTS, RATIOS, FLOORS)
@example([("success", 1), ("retry", 1)] * 10, 0.1, 0.0)
@example([("time", 100_000), ("retry", 1)] * 10, 0.0, 1.0)
@settings(max_examples=100, deadline=None)
def test_redis_and_the_local_bucket_follow_one_rule(
    events: list[tuple[str, int]], ratio: float, floor_per_second: float
) -> None:
    clock = OneClock()
    client = fakeredis.FakeRedis(version=(6, 2))
    client.flushall()
    shared = RetryBudget(client, ratio=ratio, floor_per_second=floor_per_second, capacity=20)
    local = RetryBudget(None, ratio=ratio, floor_per_second=floor_per_second, capacity=20, clock=clock)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(server_mixin, "time", clock)
        # Redis' bucket begins to fill when it is first asked, the local one when it is made: ask both at once.
        for what, number in [("retry", 1), *events]:
            if what == "time":
                clock.microseconds += number
                continue
            for _ in range(number):
                if what == "success":
                    shared.record_success()
                    local.record_success()
                else:
                    assert shared.try_retry() == local.try_retry()


def test_the_share_is_used_in_full(any_redis: redis.Redis) -> None:
    budget = RetryBudget(any_redis, ratio=RATIO, floor_per_second=0)
    for _ in range(250):
        budget.record_success()
    assert sum(budget.try_retry() for _ in range(100)) == 50 + FIRST


def test_savings_are_bounded(any_redis: redis.Redis) -> None:
    budget = RetryBudget(any_redis, ratio=RATIO, floor_per_second=0, capacity=10)
    for _ in range(1000):
        budget.record_success()
    assert sum(budget.try_retry() for _ in range(100)) == 10


def test_budgets_of_other_names_do_not_share(any_redis: redis.Redis) -> None:
    one, two = (RetryBudget(any_redis, name=name, floor_per_second=0) for name in ("one", "two"))
    for _ in range(100):
        one.record_success()
    assert sum(two.try_retry() for _ in range(20)) == FIRST


def test_successes_cost_hardly_a_round_trip(any_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = RetryBudget(any_redis)
    calls = itertools.count()
    evalsha = any_redis.evalsha

    def counted(*args: Any, **kwargs: Any) -> Any:
        next(calls)
        return evalsha(*args, **kwargs)

    monkeypatch.setattr(any_redis, "evalsha", counted)
    for _ in range(10 * FLUSH_EVERY):
        budget.record_success()
    assert next(calls) == 10


def test_a_request_that_is_sent_twice_counts_once(any_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    # What redis-py does when the connection drops between the server's work and its reply.
    budget = RetryBudget(any_redis, ratio=RATIO, floor_per_second=0)
    evalsha = any_redis.evalsha
    answers = []

    def resent(*args: Any, **kwargs: Any) -> Any:
        answers.append((evalsha(*args, **kwargs), evalsha(*args, **kwargs)))
        return answers[-1][1]

    any_redis.script_load(_script_text())
    monkeypatch.setattr(any_redis, "evalsha", resent)
    for _ in range(50):
        budget.record_success()
    assert sum(budget.try_retry() for _ in range(40)) == 10 + FIRST
    assert all(first == second for first, second in answers)


def _script_text() -> str:
    from recovery.retry.budget import _SCRIPT

    return _SCRIPT._text.decode()


def test_without_redis_the_same_rule_holds_here_and_is_said_once(
    caplog: pytest.LogCaptureFixture, any_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    budget = RetryBudget(any_redis, ratio=RATIO, floor_per_second=0, clock=clock)
    asked = itertools.count()
    evalsha = any_redis.evalsha

    def away(*args: Any, **kwargs: Any) -> Any:
        next(asked)
        raise redis.ConnectionError("gone")

    with caplog.at_level(logging.WARNING), monkeypatch.context() as patched:
        patched.setattr(any_redis, "evalsha", away)
        assert budget.try_retry() is True  # the first token
        assert budget.try_retry() is False
        for _ in range(100):
            budget.record_success()
        assert sum(budget.try_retry() for _ in range(50)) == 20
        assert next(asked) == 1  # not asked again at every call
        clock.advance(1.5)
        budget.try_retry()
        assert next(asked) == 3
    assert caplog.text.count("does not answer") == 1
    clock.advance(1.5)
    any_redis.evalsha = evalsha  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING):
        assert budget.try_retry() is True
    assert "answers again" in caplog.text


def test_the_floor_drips() -> None:
    clock = ManualClock()
    bucket = TokenBucket(floor_per_second=2.0, capacity=5.0, clock=clock)
    assert [bucket.withdraw() for _ in range(3)] == [True, True, False]
    clock.advance(1.0)
    assert [bucket.withdraw() for _ in range(3)] == [True, True, False]
    clock.advance(100.0)
    assert sum(bucket.withdraw() for _ in range(20)) == 5


def attempts_in_an_outage(*, with_budget: bool, calls: int = 6000) -> int:
    """Attempts for `calls` calls at 100 a second, all failing, after as many that worked."""
    clock = ManualClock()
    budget = RetryBudget(None, clock=clock) if with_budget else None
    policy = RetryPolicy(max_attempts=5, initial_delay=0.0, max_delay=0.0)
    retrying = policy.using(clock=clock, budget=budget, hooks=[])
    attempts = itertools.count()

    def down() -> None:
        next(attempts)
        raise TransientError("down")

    for _ in range(calls):
        clock.advance(0.01)
        retrying.call(lambda: None)
    for _ in range(calls):
        clock.advance(0.01)
        with pytest.raises(TransientError):
            retrying.call(down)
    return next(attempts)


def test_a_total_outage_stays_below_one_point_one_times_the_load() -> None:
    assert attempts_in_an_outage(with_budget=False) == 5 * 6000
    assert 6000 < attempts_in_an_outage(with_budget=True) < 1.1 * 6000


@pytest.mark.parametrize("wrong", [{"ratio": 1.5}, {"ratio": -0.1}, {"floor_per_second": -1}, {"capacity": 0}])
def test_wrong_numbers_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RetryBudget(None, **wrong)  # type: ignore[arg-type]


def test_a_clock_set_back_stops_the_floor_only_once(any_redis: redis.Redis) -> None:
    budget = RetryBudget(any_redis, floor_per_second=1_000, capacity=1_000, name="x", prefix="b")
    assert budget.try_retry()
    (key,) = [name for name in any_redis.keys("b*") if any_redis.type(name) == b"hash"]
    hour_ahead = int(any_redis.hget(key, "at") or 0) + 3600 * 10**6
    any_redis.hset(key, mapping={"at": hour_ahead, "millionths": 0})
    assert not budget.try_retry()
    assert any(budget.try_retry() for _ in range(1_000))
