"""The gate, the breaker and the retry budget of the transaction task: those of the process that runs it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from tasks.runtime import runtime


class TransactionGate:
    """The degradation modes of this process's ledger, as a task's gate."""

    def check(self, component: str, operation: str) -> None:
        """Raises OperationRefused."""
        runtime().degradation.check(component, operation)


class TransactionBreaker:
    """The breaker `transaction`, as a task's breaker."""

    def permit(self) -> AbstractContextManager[Any]:
        """Raises CircuitOpenError on entering."""
        return runtime().breaker.permit()


class TransactionBudget:
    """The fleet's retry budget for transactions."""

    def record_success(self) -> None:
        runtime().budget.record_success()

    def try_retry(self) -> bool:
        return runtime().budget.try_retry()
