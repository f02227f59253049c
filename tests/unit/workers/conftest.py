"""A snapshot of a healthy instance, which tests change in one place."""

from __future__ import annotations

import pytest

from banking.ledger.ledger import State
from banking.ledger.observing import Server, Waiting
from banking.ledger.worker_registry import WorkerStatus
from workers.overview.model import Gate, Limits, Overview


@pytest.fixture
def healthy() -> Overview:
    """Two workers, a block half a second old, nothing waits."""
    return Overview(
        ledger="main",
        address="unix:///r.sock",
        state=State("id", 3, 10**9, 50, 0, 900, b"\x01" * 32, 0, 890, 10, 0, 0, 900, 49, 900, False),
        waiting=Waiting(1000.0, 0, 0, 0, None, None, 0, 0, 0.5, 0.0, False, False),
        server=Server("7.2", "run", 60.0, 10 * 2**20, 100 * 2**20, 2**30, "noeviction", 1.0, 9, True, ""),
        workers=[
            WorkerStatus("tx1@a", 1, ("transactions",), 3, 1000.0),
            WorkerStatus("maintenance@a", 2, ("maintenance",), 3, 1000.0),
        ],
        gates=[Gate("transactions", "WRITE", "NORMAL", True), Gate("intake", "WRITE", "NORMAL", True)],
        limits=Limits(1000, 500, 100, 10_000, 0.4),
    )
