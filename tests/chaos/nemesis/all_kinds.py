"""Importing this fills the register."""

from __future__ import annotations

from tests.chaos.nemesis import (
    archive_faults,
    broker_faults,
    clock_faults,
    crash_faults,
    network_faults,
    object_store_faults,
    operator_faults,
    process_faults,
    redis_faults,
)
from tests.chaos.nemesis.kinds import KINDS

__all__ = [
    "KINDS",
    "archive_faults",
    "broker_faults",
    "clock_faults",
    "crash_faults",
    "network_faults",
    "object_store_faults",
    "operator_faults",
    "process_faults",
    "redis_faults",
]
