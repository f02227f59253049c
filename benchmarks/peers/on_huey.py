"""huey: two processes; its Redis queue pops a job before it runs."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from huey import RedisHuey

from benchmarks.peers import job

COMMAND = [str(Path(sys.executable).with_name("huey_consumer")), "benchmarks.peers.on_huey.huey"]
COMMAND += ["--worker-type", "process", "--workers", "2", "--no-periodic", "--quiet"]
PROCESSES = 1

huey = RedisHuey("bench", url=job.URL, results=False)
incr = huey.task()(job.incr)
apply = huey.task()(job.apply)


def send(name: str, arguments: Iterable[tuple[str, ...]]) -> None:
    """Enqueue one job for each of `arguments`."""
    task = {"incr": incr, "apply": apply}[name]
    for args in arguments:
        task(*args)
