"""RQ: a pool of two workers, which fork for each job."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from rq import Queue

from benchmarks.peers import job

COMMAND = [sys.executable, "-m", "rq.cli", "worker-pool", "-n", "2", "--url", "{url}", "--quiet", "bench"]
PROCESSES = 1

queue = Queue("bench", connection=job.client)


def send(name: str, arguments: Iterable[tuple[str, ...]]) -> None:
    """Enqueue one job for each of `arguments`."""
    task = {"incr": job.incr, "apply": job.apply}[name]
    for args in arguments:
        queue.enqueue(task, *args, result_ttl=0)
