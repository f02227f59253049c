"""Clocks of single processes, and of Redis, an hour back or forth, while they run (libfaketime)."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.chaos.harness.instance import OTHERS, WORKERS, Instance
from tests.chaos.nemesis.kinds import Fault, register
from tests.support.faketime import PLACES, WrongClock

HOUR = 3600.0


def available() -> bool:
    """Whether libfaketime is installed."""
    return any(found for pattern in PLACES for found in Path("/").glob(pattern.lstrip("/")))


class WrongClockFault(Fault):
    """A process is started with a right clock that jumps while it runs; afterwards it is started anew."""

    def __init__(self, instance: Instance, chance: random.Random, *names: str) -> None:
        super().__init__(instance, chance)
        self.target = chance.choice(sorted(names))
        self._hours = chance.choice([-1, 1])

    def clock(self) -> WrongClock:
        folder = self.instance.folder / "clocks" / self.target
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return WrongClock(folder, self._hours * HOUR)

    def inject(self) -> None:
        self._clock = self.clock()
        process = self.instance.process(self.target)
        extra = dict(self._clock.environment)
        if shim := process.environment.get("LD_PRELOAD"):
            extra["LD_PRELOAD"] = f"{shim}:{extra['LD_PRELOAD']}"
        process.kill(hold=True)
        process.extra = extra
        process.start()

    def heal(self) -> None:
        process = self.instance.process(self.target)
        # Forth and back while it runs, too.
        self._clock.set(0.0)
        process.kill(hold=True)
        process.extra = {}
        process.start()


class WrongRedisClock(WrongClockFault):
    """The same for the server."""

    def inject(self) -> None:
        self._clock = self.clock()
        self._clock.set(0.0)
        server = self.instance.redis
        server.stop()
        server.extra = {**os.environ, **self._clock.environment}
        server.start()
        self._clock.set(self._hours * HOUR)

    def heal(self) -> None:
        self._clock.set(0.0)
        server = self.instance.redis
        server.stop()
        server.extra = {}
        server.start()


def _wrong(make: type[WrongClockFault], *names: str) -> Callable[[Instance, random.Random], Fault]:
    return lambda instance, chance: make(instance, chance, *names)


if available():
    for _name, _targets in {"worker": WORKERS, **{name: (name,) for name in OTHERS}}.items():
        register(
            f"{_name}-clock-wrong",
            _wrong(WrongClockFault, *_targets),
            lasts=(4.0, 7.0),
            touches=["workers" if _name == "worker" else _name],
            outage=_name == "rpc",
        )
    register("redis-clock-wrong", _wrong(WrongRedisClock, "redis"), lasts=(2.0, 4.0), touches=["redis"], outage=True)
