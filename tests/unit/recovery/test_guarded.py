"""Gate, breaker and retry in one order, sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from recovery.breaker import CircuitBreaker, CircuitBreakerConfig, CircuitOpenError
from recovery.clock import ManualClock
from recovery.errors import Refused
from recovery.guarded import AsyncGuard, Guard
from recovery.retry import Retrying, RetryPolicy


class Steps:
    """A gate and a breaker that note when they are asked; the gate refuses from the `refused_from`th time on."""

    def __init__(self, refused_from: int = 99) -> None:
        self.taken: list[str] = []
        self._refused_from = refused_from

    def check(self, component: str, operation: str) -> None:
        self.taken.append(f"gate {component} {operation}")
        if self.taken.count(self.taken[-1]) >= self._refused_from:
            raise Refused("no", retry_after=1.0)

    @contextmanager
    def permit(self) -> Iterator[None]:
        self.taken.append("breaker")
        yield

    def work(self) -> str:
        self.taken.append("work")
        if self.taken.count("work") < 3:
            raise TimeoutError
        return "done"


def retrying() -> Retrying:
    return RetryPolicy(max_attempts=3).using(clock=ManualClock(), hooks=())


def test_each_attempt_asks_the_gate_and_then_the_breaker() -> None:
    steps = Steps()
    assert Guard(steps, "cards", "WRITE", steps, retrying()).call(steps.work) == "done"
    assert steps.taken == ["gate cards WRITE", "breaker", "work"] * 3


def test_a_refusal_is_not_retried_and_nothing_was_begun() -> None:
    steps = Steps(refused_from=2)
    with pytest.raises(Refused):
        Guard(steps, "cards", "WRITE", steps, retrying()).call(steps.work)
    assert steps.taken == ["gate cards WRITE", "breaker", "work", "gate cards WRITE"]


def test_each_part_may_be_left_out() -> None:
    assert Guard().call(lambda: 1) == 1
    with pytest.raises(TimeoutError):
        Guard().call(Steps().work)


def test_coroutines_are_guarded_alike() -> None:
    breaker = CircuitBreaker("dep", CircuitBreakerConfig(failure_threshold=3), clock=ManualClock())
    calls = []

    async def failing() -> None:
        calls.append(1)
        raise TimeoutError

    guard = AsyncGuard(breaker, retrying())
    with pytest.raises(TimeoutError):
        asyncio.run(guard.call(failing))
    assert len(calls) == 3
    with pytest.raises(CircuitOpenError):
        asyncio.run(guard.call(failing))
    assert len(calls) == 3


def test_a_coroutine_without_retries_runs_once() -> None:
    async def answer() -> str:
        return "done"

    assert asyncio.run(AsyncGuard().call(answer)) == "done"
