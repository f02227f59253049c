"""The other side of the tiny app: sends its tasks and reads its counters."""

from __future__ import annotations

import redis
from celery import Celery

from config import queues
from recovery.connections import connect


def send(broker_url: str, task: str, *args: object) -> None:
    """Publish a task by name, as any producer does."""
    with Celery(broker=broker_url.replace("unix://", "redis+socket://", 1)) as app:
        app.conf.broker_transport_options = {"priority_steps": [0]}
        app.conf.task_queues = queues.queue_objects()
        app.conf.task_routes = queues.ROUTES
        app.send_task(task, args=args, ignore_result=True)


def count(url: str, name: str, default: int = 0) -> int:
    """How often the tiny app has run the kind of task; `default` when Redis is away."""
    try:
        with connect(url) as client:
            return int(client.get(f"tiny:{name}") or 0)
    except redis.RedisError:
        return default
