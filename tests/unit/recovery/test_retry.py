"""Retry outside Celery: delays, deadlines, what is retried, and what a caller and an observer see."""

from __future__ import annotations

import asyncio
import errno
import random
import socket
import urllib.error
from typing import Any

import kombu.exceptions
import pytest
import redis.exceptions
from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded
from hypothesis import given
from hypothesis import strategies as st

from recovery import Jitter, RetryPolicy, TerminalError, TransientError, is_retryable, retry_on
from recovery.clock import ManualClock
from recovery.errors import Refused
from recovery.presets import RETRY_PRESETS, RETRYABLE_MESSAGE_PARTS
from recovery.retry.events import RetryEvent, Verdict

DRAWS = 10_000


class Flaky:
    """Fails with `error` for the first `times` calls; every attempt takes `seconds` on the clock."""

    def __init__(self, times: int, error: Exception, clock: ManualClock | None = None, seconds: float = 0.0) -> None:
        self.times, self.error, self.clock, self.seconds = times, error, clock, seconds
        self.started: list[float] = []

    def __call__(self) -> str:
        if self.clock is not None:
            self.started.append(self.clock.monotonic())
            self.clock.advance(self.seconds)
        else:
            self.started.append(0.0)
        if len(self.started) <= self.times:
            raise self.error
        return "done"


@pytest.mark.parametrize("name", sorted(RETRY_PRESETS))
def test_presets_have_the_seeds_numbers(name: str) -> None:
    policy = RetryPolicy.preset(name)
    assert {field: getattr(policy, field) for field in RETRY_PRESETS[name]} == RETRY_PRESETS[name]
    assert RetryPolicy.preset(name, deadline=3.0).deadline == 3.0


def test_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="default, network, rpc, storage"):
        RetryPolicy.preset("carrier pigeon")


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"max_attempts": 2.5},
        {"max_attempts": True},
        {"initial_delay": -0.1},
        {"initial_delay": float("nan")},
        {"max_delay": 0.05},
        {"max_delay": float("inf")},
        {"backoff_multiplier": 0.5},
        {"jitter_factor": 1.1},
        {"jitter": "sideways"},
        {"deadline": 0},
        {"deadline": float("nan")},
        {"max_retry_after": -1},
        {"retryable": ValueError()},
    ],
    ids=str,
)
def test_values_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)) if "jitter" not in wrong else "sideways"):
        RetryPolicy(**wrong)


@pytest.mark.parametrize("name", sorted(RETRY_PRESETS))
def test_proportional_jitter_stays_within_its_factor(name: str) -> None:
    policy, rng = RetryPolicy.preset(name), random.Random(1)
    for attempt in (1, 2, 3, 10, 5000):
        try:
            base = min(policy.initial_delay * policy.backoff_multiplier ** (attempt - 1), policy.max_delay)
        except OverflowError:
            base = policy.max_delay
        drawn = [policy.delay(attempt, rng=rng) for _ in range(DRAWS)]
        spread = base * policy.jitter_factor
        assert base - spread <= min(drawn) < base - 0.95 * spread
        assert base + 0.95 * spread < max(drawn) <= base + spread


def test_full_jitter_fills_zero_to_the_delay() -> None:
    policy, rng = RetryPolicy.preset("default", jitter=Jitter.FULL), random.Random(2)
    for attempt, base in ((1, 0.1), (3, 0.4), (50, 5.0)):
        drawn = [policy.delay(attempt, rng=rng) for _ in range(DRAWS)]
        assert 0.0 <= min(drawn) < 0.05 * base
        assert 0.95 * base < max(drawn) <= base


def test_decorrelated_jitter_grows_from_the_previous_delay() -> None:
    policy, rng = RetryPolicy.preset("default", jitter=Jitter.DECORRELATED), random.Random(3)
    previous: float | None = None
    seen = []
    for _ in range(DRAWS):
        delay = policy.delay(1, previous, rng)
        highest = min(policy.max_delay, 3 * max(policy.initial_delay, previous or 0.0))
        assert policy.initial_delay <= delay <= highest
        seen.append(delay)
        previous = delay
    assert max(seen) == policy.max_delay
    assert min(seen) < 2 * policy.initial_delay


@given(
    seconds=st.floats(0, 3),
    deadline=st.floats(0.05, 10),
    attempts=st.integers(1, 12),
    jitter=st.sampled_from(Jitter),
    retry_after=st.none() | st.floats(0, 20),
    oversleep=st.floats(0, 2),
    seed=st.integers(0, 2**32),
)
def test_no_attempt_starts_past_the_deadline(
    *,
    seconds: float,
    deadline: float,
    attempts: int,
    jitter: Jitter,
    retry_after: float | None,
    oversleep: float,
    seed: int,
) -> None:
    class Oversleeper(ManualClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds + oversleep)

    for run_async in (False, True):
        clock = Oversleeper()
        flaky = Flaky(100, TransientError("away", retry_after=retry_after), clock, seconds)
        policy = RetryPolicy(max_attempts=attempts, deadline=deadline, jitter=jitter, max_retry_after=15.0)
        retrying = policy.using(clock=clock, rng=random.Random(seed), hooks=[])

        async def coroutine(flaky: Flaky = flaky) -> str:
            return flaky()

        with pytest.raises(TransientError):
            asyncio.run(retrying.acall(coroutine)) if run_async else retrying.call(flaky)
        assert 1 <= len(flaky.started) <= attempts
        assert all(at < deadline for at in flaky.started)


def test_sync_and_async_wait_alike() -> None:
    waits = []
    for run_async in (False, True):
        clock = ManualClock()
        flaky = Flaky(4, ConnectionResetError(), clock)
        retrying = RetryPolicy.preset("network").using(clock=clock, rng=random.Random(7), hooks=[])

        async def coroutine(flaky: Flaky = flaky) -> str:
            return flaky()

        decorated = retrying(coroutine) if run_async else retrying(flaky.__call__)
        result = decorated()
        assert (asyncio.run(result) if asyncio.iscoroutine(result) else result) == "done"
        waits.append(clock.sleeps)
    assert waits[0] == waits[1]
    assert len(waits[0]) == 4
    assert [round(wait, 1) for wait in waits[0]] != [0.0] * 4


def test_async_waiting_leaves_the_loop_free() -> None:
    order: list[str] = []

    async def fails_once() -> None:
        order.append("attempt")
        if order.count("attempt") == 1:
            raise TimeoutError

    async def both() -> None:
        policy = RetryPolicy(initial_delay=0.05, jitter_factor=0.0)
        waiting = asyncio.create_task(policy.acall(fails_once))
        await asyncio.sleep(0.01)
        order.append("somebody else")
        await waiting

    asyncio.run(both())
    assert order == ["attempt", "somebody else", "attempt"]


@pytest.mark.parametrize(
    ("asked", "policy", "waited"),
    [
        (1.5, RetryPolicy(jitter_factor=0), 1.5),
        (0.01, RetryPolicy(jitter_factor=0), 0.1),  # never sooner than the policy's own delay
        (3600, RetryPolicy(jitter_factor=0), 5.0),  # clamped to max_delay
        (3600, RetryPolicy(jitter_factor=0, max_retry_after=30), 30),
        (float("inf"), RetryPolicy(jitter_factor=0), 5.0),
        (float("nan"), RetryPolicy(jitter_factor=0), 0.1),
        (-4, RetryPolicy(jitter_factor=0), 0.1),
        ("soon", RetryPolicy(jitter_factor=0), 0.1),
    ],
)
def test_retry_after_is_honoured_and_clamped(asked: Any, policy: RetryPolicy, waited: float) -> None:
    clock = ManualClock()
    policy.using(clock=clock, hooks=[]).call(Flaky(1, TransientError("slow down", retry_after=asked)))
    assert clock.sleeps == [waited]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TransientError("anything"), True),
        (TerminalError("connection timeout"), False),
        (Refused("busy"), False),
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (OSError(errno.EHOSTUNREACH, "no route"), True),
        (OSError(errno.ENOSPC, "disk full"), False),
        (FileNotFoundError("network share"), False),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), True),
        (socket.gaierror(socket.EAI_NONAME, "connection name unknown"), False),
        (urllib.error.URLError(ConnectionRefusedError()), True),
        (urllib.error.URLError(FileNotFoundError()), False),
        (redis.exceptions.ConnectionError("x"), True),
        (redis.exceptions.TimeoutError("x"), True),
        (redis.exceptions.BusyLoadingError("x"), True),
        (redis.exceptions.AuthenticationError("x"), False),
        (redis.exceptions.ResponseError("WRONGTYPE"), False),
        (kombu.exceptions.OperationalError("x"), True),
        (SoftTimeLimitExceeded(), True),
        (ValueError("connection string is malformed"), False),
        (TypeError("network() takes 1 argument"), False),
        (Retry("connection"), False),
        (Ignore("timeout"), False),
        (Reject("network"), False),
        (KeyboardInterrupt("timeout"), False),
        (RuntimeError("nothing to see"), False),
    ],
    ids=repr,
)
def test_the_type_decides_first(error: BaseException, expected: bool) -> None:
    assert is_retryable(error) is expected


@pytest.mark.parametrize("part", RETRYABLE_MESSAGE_PARTS)
def test_the_message_decides_when_the_type_says_nothing(part: str) -> None:
    assert is_retryable(RuntimeError(f"upstream said: {part.upper()}!"))


def test_no_predicate_can_make_a_terminal_error_retryable() -> None:
    flaky = Flaky(9, TerminalError("no"))
    with pytest.raises(TerminalError):
        RetryPolicy(retryable=lambda error: True).call(flaky)
    assert len(flaky.started) == 1


def test_own_predicate_by_types() -> None:
    policy = RetryPolicy(retryable=retry_on(KeyError), initial_delay=0, max_delay=0)
    assert policy.call(Flaky(2, KeyError("late"))) == "done"
    with pytest.raises(ConnectionError):
        policy.call(Flaky(1, ConnectionError()))


def test_the_last_error_says_how_often_it_was_tried() -> None:
    events: list[RetryEvent] = []
    retrying = RetryPolicy().using(name="charge", clock=ManualClock(), hooks=[events.append])
    with pytest.raises(TimeoutError) as caught:
        retrying.call(Flaky(9, TimeoutError("slow")))
    assert caught.value.__notes__ == ["charge: gave up after 3 attempt(s): attempts used up"]
    assert [(event.attempt, event.verdict) for event in events] == [
        (1, Verdict.RETRY),
        (2, Verdict.RETRY),
        (3, Verdict.ATTEMPTS_USED_UP),
    ]
    assert events[0].delay > 0
    assert events[2].delay == 0


def test_a_failing_observer_does_not_fail_the_work(caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: RetryEvent) -> None:
        raise RuntimeError("observer down")

    retrying = RetryPolicy().using(clock=ManualClock(), hooks=[broken])
    assert retrying.call(Flaky(1, TimeoutError())) == "done"
    assert "observer down" in caplog.text


def test_generators_cannot_be_decorated() -> None:
    def numbers() -> Any:
        yield 1

    with pytest.raises(TypeError, match="generator"):
        RetryPolicy()(numbers)


def test_arguments_and_name_pass_through_the_decorator() -> None:
    @RetryPolicy()
    def add(a: int, *, b: int) -> int:
        """Sum."""
        return a + b

    assert add(1, b=2) == 3
    assert add.__doc__ == "Sum."
