"""What retrying expects of its neighbours. Any object of this shape will do; nothing need be subclassed."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol


class GateProtocol(Protocol):
    """Says whether an operation may run now (degradation modes)."""

    def check(self, component: str, operation: str) -> None:
        """Return when allowed.

        Raises an error with `retry_after` (seconds) when not: `OperationRefused`.
        """


class BreakerProtocol(Protocol):
    """Says whether a dependency is believed to work, and learns from what happens."""

    def permit(self) -> AbstractContextManager[Any]:
        """The context in which to use the dependency.

        Entering raises an error with `retry_after` (seconds) while the breaker is open: `CircuitOpenError`.
        An exception that leaves the context counts as a failure if the breaker's own predicate says so.
        """


class AsyncBreakerProtocol(Protocol):
    """A `BreakerProtocol` for an event loop."""

    def permit(self) -> AbstractAsyncContextManager[Any]:
        """As `BreakerProtocol.permit`, without blocking the event loop."""


class RetryBudgetProtocol(Protocol):
    """Keeps retries a small part of the calls, over the whole fleet."""

    def record_success(self) -> None:
        """A call came back well; costs no round trip (amortised)."""

    def try_retry(self) -> bool:
        """Withdraw one retry; False when the budget is exhausted."""
