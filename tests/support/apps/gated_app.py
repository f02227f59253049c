"""A small Celery app with a gated and a free queue, run by `test_gate.py` in real worker processes."""

from __future__ import annotations

import os
from typing import Any

import redis
from celery import Celery

from recovery.connections import connect
from recovery.degradation import DegradationManager
from workers.bootsteps.queue_pause import queue_pause_step

GATED, FREE = "gated", "free"


def make_app(broker_url: str) -> Any:
    """The app, for workers and for the test that publishes."""
    app: Any = Celery("gated", broker=broker_url.replace("unix://", "redis+socket://", 1))
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        broker_connection_retry=True,
        broker_transport_options={"socket_timeout": 5},
        task_routes={"work": {"queue": GATED}, "chore": {"queue": FREE}},
    )
    return app


def _started(name: str, number: int) -> None:
    client: redis.Redis = connect(os.environ["GATED_BROKER"])
    client.rpush(f"started:{name}", number)
    client.close()


if "GATED_BROKER" in os.environ:
    app = make_app(os.environ["GATED_BROKER"])
    manager = DegradationManager(os.environ["GATED_MODES"])
    app.steps["consumer"].add(queue_pause_step([GATED], lambda: manager.is_operation_allowed("demo", "WRITE")))

    @app.task(name="work")  # type: ignore[untyped-decorator]
    def work(number: int) -> None:
        _started("work", number)

    @app.task(name="chore")  # type: ignore[untyped-decorator]
    def chore(number: int) -> None:
        _started("chore", number)
