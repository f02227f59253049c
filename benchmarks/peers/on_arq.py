"""arq: two processes, each with its default of ten jobs at a time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from typing import Any, ClassVar

from arq import create_pool
from arq.connections import RedisSettings

from benchmarks.peers import DONE, job

COMMAND = [sys.executable, "-m", "arq", "benchmarks.peers.on_arq.WorkerSettings"]
PROCESSES = 2


async def incr(ctx: dict[str, Any]) -> None:
    await ctx["redis"].incr(DONE)


async def apply(ctx: dict[str, Any], text: str) -> None:
    await ctx["redis"].eval(job.APPLY, len(job.KEYS), *job.KEYS, *job.checked(text))


class WorkerSettings:
    functions: ClassVar[list[Any]] = [incr, apply]
    redis_settings = RedisSettings(unix_socket_path=job.URL.removeprefix("unix://"))
    keep_result = 0


def send(name: str, arguments: Iterable[tuple[str, ...]]) -> None:
    """Enqueue one job for each of `arguments`."""

    async def enqueue() -> None:
        pool = await create_pool(WorkerSettings.redis_settings)
        for args in arguments:
            await pool.enqueue_job(name, *args)

    asyncio.run(enqueue())
