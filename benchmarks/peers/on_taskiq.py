"""taskiq: two processes on a Redis stream, the broker of taskiq-redis that acknowledges."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from typing import Any

import redis.asyncio
from taskiq_redis import RedisStreamBroker

from benchmarks.peers import DONE, job

COMMAND = [sys.executable, "-m", "taskiq", "worker", "benchmarks.peers.on_taskiq:broker", "--workers", "2"]
COMMAND += ["--log-level", "WARNING"]
PROCESSES = 1

broker = RedisStreamBroker(job.URL)
client: Any = redis.asyncio.Redis.from_url(job.URL)


@broker.task(task_name="incr")
async def incr() -> None:
    await client.incr(DONE)


@broker.task(task_name="apply")
async def apply(text: str) -> None:
    await client.eval(job.APPLY, len(job.KEYS), *job.KEYS, *job.checked(text))


def send(name: str, arguments: Iterable[tuple[str, ...]]) -> None:
    """Enqueue one job for each of `arguments`."""
    task: Any = {"incr": incr, "apply": apply}[name]

    async def enqueue() -> None:
        await broker.startup()
        for args in arguments:
            await task.kiq(*args)
        await broker.shutdown()

    asyncio.run(enqueue())
