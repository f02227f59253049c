"""The base class of Celery tasks that are retried, parked or kept as dead letters by policy. Needs Celery."""

from recovery.task.dead_letters import NotReplayableError, pack_call, send_again
from recovery.task.fault_tolerant_task import (
    DeadlineOverError,
    FaultTolerantTask,
    GivenUpError,
    RetryBudgetExhausted,
)
from recovery.task.state import HEADER, TaskState

__all__ = [
    "HEADER",
    "DeadlineOverError",
    "FaultTolerantTask",
    "GivenUpError",
    "NotReplayableError",
    "RetryBudgetExhausted",
    "TaskState",
    "pack_call",
    "send_again",
]
