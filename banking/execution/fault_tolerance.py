"""What stands around an execution: degradation gate, circuit breaker, retry. The Celery tasks use the same three."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from recovery.guarded import Guard
from recovery.protocols import BreakerProtocol, GateProtocol
from recovery.retry.policy import RetryPolicy

T = TypeVar("T")
COMPONENT, OPERATION = "transactions", "WRITE"


@dataclass(frozen=True)
class Protection:
    """A gate that may refuse, a breaker that learns, and a policy that tries again; each may be left out."""

    gate: GateProtocol | None = None
    breaker: BreakerProtocol | None = None
    policy: RetryPolicy = field(default_factory=lambda: RetryPolicy.preset("network"))

    def run(self, work: Callable[[], T]) -> T:
        """`work()` under all three. Raises OperationRefused and CircuitOpenError (nothing was begun, no attempt is
        used up), and the last error when the policy has enough.
        """
        return Guard(self.gate, COMPONENT, OPERATION, self.breaker, self.policy.using(name=COMPONENT)).call(work)
