"""The server's health follows from the workers' heartbeats."""

from __future__ import annotations

import fakeredis

from banking.ledger.worker_registry import WorkerRegistry
from config.queues import MAINTENANCE, TRANSACTIONS
from rpc.collaborators import WorkerHealth


def test_each_queue_needs_a_worker_that_consumes_it() -> None:
    registry = WorkerRegistry(fakeredis.FakeRedis(version=(6, 2)), "main")
    health = WorkerHealth(registry)
    assert health.problem() == f"no worker consumes {TRANSACTIONS} or {MAINTENANCE}"
    registry.heartbeat("first", 1, [TRANSACTIONS])
    registry.report_waiting("second", 2, "the ledger is being restored")
    assert health.problem() == f"no worker consumes {MAINTENANCE}"
    registry.heartbeat("second", 2, [MAINTENANCE])
    assert health.problem() is None
    registry.deregister("first")
    assert health.problem() == f"no worker consumes {TRANSACTIONS}"
