"""Degradation gate, circuit breaker and retry around a call, in one order, for sync and async code.

Each attempt asks the gate, then the breaker, and then runs. A refusal of either means that nothing was begun; it is not
retried here, because `RetryPolicy` retries no `Refused`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

from recovery.protocols import AsyncBreakerProtocol, BreakerProtocol, GateProtocol
from recovery.retry.caller import Retrying

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Guard:
    """A gate that is asked about `operation` of `component`, a breaker, and retries; each may be left out."""

    gate: GateProtocol | None = None
    component: str = ""
    operation: str = ""
    breaker: BreakerProtocol | None = None
    retrying: Retrying | None = None

    def permit(self) -> AbstractContextManager[Any]:
        """The context of one attempt. Calling this raises the gate's refusal, entering the context the breaker's."""
        if self.gate is not None:
            self.gate.check(self.component, self.operation)
        return nullcontext() if self.breaker is None else self.breaker.permit()

    def call(self, fn: Callable[[], T]) -> T:
        """`fn()`, each attempt under a permit. Raises the refusal, or the last error when the policy gives up."""
        return self._attempt(fn) if self.retrying is None else self.retrying.call(self._attempt, fn)

    def _attempt(self, fn: Callable[[], T]) -> T:
        with self.permit():
            return fn()


@dataclass(frozen=True, slots=True)
class AsyncGuard:
    """A breaker and retries around coroutines; each may be left out. (A gate may block: ask it in a thread before.)"""

    breaker: AsyncBreakerProtocol | None = None
    retrying: Retrying | None = None

    def permit(self) -> AbstractAsyncContextManager[Any]:
        """The context of one attempt; entering raises the breaker's refusal."""
        return nullcontext() if self.breaker is None else self.breaker.permit()

    async def call(self, fn: Callable[[], Awaitable[T]]) -> T:
        """`await fn()`, each attempt under a permit. Raises as `Guard.call` does."""
        return await (self._attempt(fn) if self.retrying is None else self.retrying.acall(self._attempt, fn))

    async def _attempt(self, fn: Callable[[], Awaitable[T]]) -> T:
        async with self.permit():
            return await fn()
