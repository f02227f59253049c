"""Other task frameworks on the same Redis, the same cores and the same jobs, two processes each."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Protocol, cast

#: Modules of this package, and the name by which each framework is known.
PEERS = {
    "on_celery": "celery",
    "on_dramatiq": "dramatiq",
    "on_rq": "rq",
    "on_arq": "arq",
    "on_taskiq": "taskiq",
    "on_huey": "huey",
    "on_streaq": "streaq",
}
#: Counts the jobs that are done.
DONE = "bench:done"


class Peer(Protocol):
    """A module of this package. `COMMAND` starts a worker ({url} is Redis'), `PROCESSES` times for two in all."""

    COMMAND: list[str]
    PROCESSES: int

    def send(self, name: str, arguments: Iterable[tuple[str, ...]]) -> None:
        """Enqueue a job `name` for each of `arguments`."""


def peer(name: str) -> Peer:
    """The module `name`. Raises ImportError when its framework is not installed (`make bench` installs it)."""
    return cast(Peer, importlib.import_module(f"benchmarks.peers.{name}"))


def worker_command(name: str, url: str) -> list[str]:
    """What starts a worker of `name` on the Redis at `url`."""
    return [part.replace("{url}", url) for part in peer(name).COMMAND]
