"""dramatiq: two processes with its default of eight threads; acknowledges after the work."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers import job

COMMAND = [sys.executable, "-m", "dramatiq", "benchmarks.peers.on_dramatiq", "--processes", "2", "--skip-logging"]
PROCESSES = 1

broker = RedisBroker(url=job.URL)
dramatiq.set_broker(broker)
incr = dramatiq.actor(job.incr)
apply = dramatiq.actor(job.apply)


def send(name: str, arguments: Iterable[tuple[str, ...]]) -> None:
    """Enqueue one job for each of `arguments`."""
    actor = {"incr": incr, "apply": apply}[name]
    for args in arguments:
        actor.send(*args)
