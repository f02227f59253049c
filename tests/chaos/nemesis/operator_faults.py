"""What operators do in the middle of it all: open the breaker, flip modes."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.chaos.harness.instance import Instance
from tests.chaos.nemesis.kinds import Fault, register


class Commands(Fault):
    """One `trunkline` command when it begins, another when it heals."""

    def __init__(self, instance: Instance, chance: random.Random, begin: list[str], end: list[str]) -> None:
        super().__init__(instance, chance)
        self._begin, self._end = begin, end
        self.target = begin[2]

    def inject(self) -> None:
        self.instance.command(*self._begin)

    def heal(self) -> None:
        self.instance.command(*self._end)


def _commands(begin: str, end: str) -> Callable[[Instance, random.Random], Fault]:
    return lambda instance, chance: Commands(instance, chance, begin.split(), end.split())


def _mode(component: str, mode: str) -> Callable[[Instance, random.Random], Fault]:
    return _commands(f"mode set {component} {mode} --for 20s --reason chaos", f"mode clear {component} --reason chaos")


register(
    "breaker-opened",
    _commands("breaker open transaction --for 20s --reason chaos", "breaker reset transaction --reason chaos"),
    lasts=(1.0, 4.0),
    touches=["modes"],
)
register("transactions-read-only", _mode("transactions", "READ_ONLY"), lasts=(1.0, 4.0), touches=["modes"])
register("intake-read-only", _mode("intake", "READ_ONLY"), lasts=(1.0, 3.0), touches=["modes"], outage=True)
register("system-offline", _mode("system", "OFFLINE"), lasts=(1.0, 3.0), touches=["modes"], outage=True)
