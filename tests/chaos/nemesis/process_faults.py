"""Processes that are killed, paused, ended, doubled and scaled."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from contextlib import suppress

import psutil

from tests.chaos.harness.instance import WORKERS, Instance
from tests.chaos.harness.processes import Managed
from tests.chaos.nemesis.kinds import Fault, register


class OnProcess(Fault):
    """A fault of one of `names`."""

    def __init__(self, instance: Instance, chance: random.Random, *names: str) -> None:
        super().__init__(instance, chance)
        self.target = chance.choice(sorted(names))

    @property
    def process(self) -> Managed:
        return self.instance.process(self.target)


class Kill(OnProcess):
    """SIGKILL for the process and all its children; it is started again at once."""

    def inject(self) -> None:
        self.process.kill()


class KillForAWhile(OnProcess):
    """SIGKILL, and down until it heals: a host that is gone."""

    def inject(self) -> None:
        self.process.kill(hold=True)

    def heal(self) -> None:
        self.process.start()


class Pause(OnProcess):
    """SIGSTOP, then SIGCONT."""

    def inject(self) -> None:
        self.process.signal(signal.SIGSTOP)

    def heal(self) -> None:
        self.process.signal(signal.SIGCONT)


class KillChild(OnProcess):
    """SIGKILL for a process of the pool alone."""

    def inject(self) -> None:
        if children := self.process.children():
            with suppress(psutil.NoSuchProcess):
                self.chance.choice(children).kill()


class End(OnProcess):
    """SIGTERM: it finishes what it runs, and is started again."""

    def inject(self) -> None:
        self.process.ask_to_end()


class TwoBeats(Fault):
    """Two schedulers at once, as after a careless failover."""

    def inject(self) -> None:
        if "beat2" not in self.instance.network.links:
            self.instance.network.link("beat2", self.instance.redis.port)
        schedule = str(self.instance.folder / "beat2")
        self.instance.add("beat2", "celery", "-A", "workers.app", "beat", "--loglevel", "INFO", "-s", schedule)

    def heal(self) -> None:
        self.instance.keeper.processes.pop("beat2").end()


class RollingRestart(Fault):
    """Every worker ended and started again, one after the other."""

    def inject(self) -> None:
        for name in (*WORKERS, "maintenance"):
            process = self.instance.process(name)
            process.end()
            process.start()


class Scale(Fault):
    """Two more workers, then one alone, then as before."""

    def inject(self) -> None:
        self.extra = [f"tx{number}" for number in (3, 4)]
        for name in self.extra:
            self.instance.add_worker(name)

    def heal(self) -> None:
        for name in (*self.extra, WORKERS[1]):
            self.instance.process(name).end()
        for name in self.extra:
            self.instance.keeper.processes.pop(name)
        self.instance.process(WORKERS[1]).start()


def _on(make: Callable[..., Fault], *names: str) -> Callable[[Instance, random.Random], Fault]:
    return lambda instance, chance: make(instance, chance, *names)


register("worker-kill", _on(Kill, *WORKERS), touches=["workers"])
register("worker-gone", _on(KillForAWhile, *WORKERS), lasts=(2.0, 5.0), touches=["workers"])
register("worker-pause", _on(Pause, *WORKERS), lasts=(1.0, 4.0), touches=["workers"])
register("worker-pause-long", _on(Pause, *WORKERS), lasts=(9.0, 12.0), touches=["workers"])
register("worker-child-kill", _on(KillChild, *WORKERS), touches=["workers"])
register("worker-end", _on(End, *WORKERS), touches=["workers"])
register("maintenance-kill", _on(Kill, "maintenance"), touches=["maintenance"])
register("maintenance-gone", _on(KillForAWhile, "maintenance"), lasts=(2.0, 5.0), touches=["maintenance"])
register("maintenance-pause", _on(Pause, "maintenance"), lasts=(2.0, 7.0), touches=["maintenance"])
register("maintenance-child-kill", _on(KillChild, "maintenance"), touches=["maintenance"])
register("maintenance-end", _on(End, "maintenance"), touches=["maintenance"])
register("beat-kill", _on(Kill, "beat"), touches=["beat"])
register("beat-pause", _on(Pause, "beat"), lasts=(2.0, 5.0), touches=["beat"])
register("two-beats", TwoBeats, lasts=(3.0, 5.0), touches=["beat"])
register("rpc-kill", _on(Kill, "rpc"), touches=["rpc"], outage=True)
register("rpc-pause", _on(Pause, "rpc"), lasts=(1.0, 4.0), touches=["rpc"], outage=True)
register("rolling-restart", RollingRestart, lasts=(0.1, 0.5), touches=["workers", "maintenance"])
register("scale-out-and-in", Scale, lasts=(3.0, 6.0), touches=["workers"])
