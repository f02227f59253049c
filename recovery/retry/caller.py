"""The loop around the attempts, for sync and async code."""

from __future__ import annotations

import asyncio
import functools
import inspect
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ParamSpec, TypeVar, cast

from recovery.clock import Clock, SystemClock
from recovery.protocols import RetryBudgetProtocol
from recovery.retry.backoff import Uniform
from recovery.retry.decision import RetryDecider
from recovery.retry.events import RetryEvent, RetryHook, Verdict, get_retry_hooks, notify

P = ParamSpec("P")
T = TypeVar("T")


class Retrying:
    """A policy with its surroundings; made by `RetryPolicy.using`. Holds nothing between calls."""

    def __init__(
        self,
        policy: RetryDecider,
        *,
        name: str | None = None,
        clock: Clock | None = None,
        rng: Uniform = random,
        budget: RetryBudgetProtocol | None = None,
        hooks: Iterable[RetryHook] | None = None,
    ) -> None:
        self.policy = policy
        self.name = name
        self.clock = clock or SystemClock()
        self.rng = rng
        self.budget = budget
        self.hooks = None if hooks is None else tuple(hooks)

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """See `RetryPolicy.call`."""
        attempts = _Attempts(self, fn)
        while True:
            try:
                result = fn(*args, **kwargs)
            except Exception as error:
                delay = attempts.failed(error)
                if delay is None:
                    raise
                self.clock.sleep(delay)
                if not attempts.may_start(error):
                    raise
            else:
                attempts.succeeded()
                return result

    async def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """See `RetryPolicy.acall`."""
        attempts = _Attempts(self, fn)
        while True:
            try:
                result = await fn(*args, **kwargs)
            except Exception as error:
                delay = attempts.failed(error)
                if delay is None:
                    raise
                await self._sleep(delay)
                if not attempts.may_start(error):
                    raise
            else:
                attempts.succeeded()
                return result

    async def _sleep(self, delay: float) -> None:
        if isinstance(self.clock, SystemClock):
            await asyncio.sleep(delay)
        else:  # a test's clock: its sleep only moves its hands
            self.clock.sleep(delay)

    def __call__(self, fn: Callable[P, T]) -> Callable[P, T]:
        """Decorate `fn`. Raises TypeError for generators: their body runs after the call has returned."""
        if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
            raise TypeError(f"{_name_of(fn)} is a generator function; retry the function that consumes it")
        if inspect.iscoroutinefunction(fn):

            @functools.wraps(fn)
            async def retried_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                return await self.acall(fn, *args, **kwargs)

            return cast(Callable[P, T], retried_async)

        @functools.wraps(fn)
        def retried(*args: P.args, **kwargs: P.kwargs) -> T:
            return self.call(fn, *args, **kwargs)

        return retried


class _Attempts:
    """The attempts of one call: their number, the time since the first began, the last wait."""

    def __init__(self, retrying: Retrying, fn: Callable[..., object]) -> None:
        self._with = retrying
        self._name = retrying.name or _name_of(fn)
        self._attempt = 1
        self._previous: float | None = None
        self._began = retrying.clock.monotonic()

    def succeeded(self) -> None:
        """The call came back well: it feeds the retry budget."""
        if self._with.budget is not None:
            self._with.budget.record_success()

    def failed(self, error: Exception) -> float | None:
        """Seconds until the next attempt, or None when `error` is the end of it (a note then says why)."""
        policy, budget = self._with.policy, self._with.budget
        decision = policy.decide(
            error, self._attempt, elapsed=self._elapsed(), previous=self._previous, rng=self._with.rng
        )
        if decision.verdict is not Verdict.RETRY:
            self._give_up(error, decision.verdict)
            return None
        if budget is not None and not budget.try_retry():
            self._give_up(error, Verdict.BUDGET_EXHAUSTED)
            return None
        self._notify(error, Verdict.RETRY, decision.delay)
        self._previous = decision.delay
        self._attempt += 1
        return decision.delay

    def may_start(self, error: Exception) -> bool:
        """False when the wait took longer than it should have and the deadline is over."""
        if self._with.policy.may_start(self._elapsed()):
            return True
        self._attempt -= 1
        self._give_up(error, Verdict.DEADLINE)
        return False

    def _elapsed(self) -> float:
        return self._with.clock.monotonic() - self._began

    def _give_up(self, error: Exception, verdict: Verdict) -> None:
        if self._attempt > 1 or verdict is not Verdict.NOT_RETRYABLE:
            error.add_note(f"{self._name}: gave up after {self._attempt} attempt(s): {verdict}")
        self._notify(error, verdict, 0.0)

    def _notify(self, error: Exception, verdict: Verdict, delay: float) -> None:
        hooks = get_retry_hooks() if self._with.hooks is None else self._with.hooks
        if not hooks:
            return
        event = RetryEvent(
            name=self._name,
            attempt=self._attempt,
            max_attempts=self._with.policy.max_attempts,
            error=error,
            verdict=verdict,
            delay=delay,
            elapsed=self._elapsed(),
        )
        notify(hooks, event)


def _name_of(fn: object) -> str:
    return getattr(fn, "__qualname__", None) or type(fn).__qualname__
