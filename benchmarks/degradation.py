"""What a DegradationManager costs: memory, and the time of a question answered from the snapshot."""

from __future__ import annotations

import gc
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import redis

from recovery.connections import connect
from recovery.degradation import DegradationManager
from workers.supervisor.embedded_redis import EmbeddedRedis

COMPONENTS = 20


def manager_bytes(client: redis.Redis) -> int:
    """Bytes (tracemalloc) that one more manager takes, connected and with 20 components in a mode."""
    _used(client)  # what is made once per process (compiled scripts, caches) is not the manager's
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        manager = _used(client)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    manager.get_system_status()
    return after - before


def seconds_per_question(client: redis.Redis, questions: int = 100_000) -> float:
    """Mean seconds of `is_operation_allowed`, renewals of the snapshot included."""
    manager = _used(client)
    began = time.perf_counter()
    for _ in range(questions):
        manager.is_operation_allowed("component-1", "WRITE")
    return (time.perf_counter() - began) / questions


def _used(client: redis.Redis) -> DegradationManager:
    manager = DegradationManager(client, namespace="benchmark")
    for i in range(COMPONENTS):
        manager.register(f"component-{i}", ["READ", "WRITE"])
        manager.set_component_mode(f"component-{i}", "READ_ONLY", actor="benchmark", reason="memory")
        manager.is_operation_allowed(f"component-{i}", "WRITE")
    return manager


def run() -> dict[str, Any]:
    """Microseconds for a question, bytes for a manager, on a real Redis."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedRedis(Path(folder))
        server.start()
        try:
            with connect(server.url) as client:
                return {
                    "microseconds_per_question": seconds_per_question(client) * 1e6,
                    "bytes_per_manager": manager_bytes(client),
                }
        finally:
            server.stop()
