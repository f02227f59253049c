"""The yardstick: a Celery task that does one INCR, with late acknowledgements and nothing else of ours."""

from __future__ import annotations

import os

import redis
from celery import Celery

_URL = os.environ.get("TRUNKLINE_REDIS_URL", "redis://127.0.0.1:6379")

app = Celery("bare", broker=_URL.replace("unix://", "redis+socket://", 1))
app.conf.update(task_acks_late=True, task_ignore_result=True, task_default_queue="bare")
_client = redis.Redis.from_url(_URL)


@app.task(name="bare.incr")
def incr() -> None:
    """One trivial round trip."""
    _client.incr("bench:done")
