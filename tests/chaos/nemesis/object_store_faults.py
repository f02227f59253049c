"""An object store that answers wrongly, or not at all, at times after it has done what was asked."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.chaos.harness.instance import Instance
from tests.chaos.nemesis.kinds import Fault, register


class WrongAnswers(Fault):
    """See `harness/object_store.py`."""

    def __init__(self, instance: Instance, chance: random.Random, trouble: str) -> None:
        super().__init__(instance, chance)
        self.target = trouble

    def inject(self) -> None:
        assert self.instance.store is not None
        self.instance.store.trouble = self.target

    def heal(self) -> None:
        assert self.instance.store is not None
        self.instance.store.trouble = ""


def _trouble(name: str) -> Callable[[Instance, random.Random], Fault]:
    return lambda instance, chance: WrongAnswers(instance, chance, name)


for _name in ("500-after", "503-before", "silent-after"):
    register(f"s3-{_name}", _trouble(_name), lasts=(1.0, 6.0), touches=["archive"], archive="s3")
