"""streaq: two processes, each with its default of concurrent jobs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from typing import Any

from streaq import Worker

from benchmarks.peers import DONE, job

COMMAND = [sys.executable, "-m", "streaq", "run", "benchmarks.peers.on_streaq:worker", "--workers", "2"]
PROCESSES = 1

worker: Any = Worker(redis_url=job.URL)


@worker.task(ttl=0)
async def incr() -> None:
    await worker.redis.incr(DONE)


@worker.task(ttl=0)
async def apply(text: str) -> None:
    await worker.redis.eval(job.APPLY, job.KEYS, job.checked(text))


def send(name: str, arguments: Iterable[tuple[str, ...]]) -> None:
    """Enqueue one job for each of `arguments`."""
    task: Any = {"incr": incr, "apply": apply}[name]

    async def enqueue() -> None:
        async with worker:
            for args in arguments:
                await task.enqueue(*args)

    asyncio.run(enqueue())
