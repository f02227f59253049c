"""What a fault is, and the register of all kinds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from tests.chaos.harness.instance import Instance


class Loss(StrEnum):
    """What `docs/durability.md` lets a fault lose."""

    NOTHING = "nothing"
    #: What was accepted or processed in about the last second, and is not final.
    TAIL = "tail"
    #: All that is not final.
    UNFINAL = "unfinal"


class Fault:
    """One fault, injected once. `since` and `lost_at` (monotonic seconds) bound when what it lost was told.

    `since` None: ever since the beginning. `damaged` names what it damaged in the archive for good.
    """

    def __init__(self, instance: Instance, chance: random.Random) -> None:
        self.instance = instance
        self.chance = chance
        self.target = ""
        self.since: float | None = None
        self.lost_at: float | None = None
        self.damaged: list[str] = []

    def inject(self) -> None:
        """Do it."""
        raise NotImplementedError

    def heal(self) -> None:
        """Take it back, where that is not the instance's own affair."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault. `lasts` in seconds; kinds that share something in `touches` do not overlap.

    `outage`: nobody can be served while it lasts. `archive`: only where that is in a folder, or in S3 ("" = either).
    """

    name: str
    make: Callable[[Instance, random.Random], Fault]
    lasts: tuple[float, float] = (0.5, 2.0)
    touches: frozenset[str] = field(default_factory=frozenset)
    loses: Loss = Loss.NOTHING
    outage: bool = False
    archive: str = ""


KINDS: dict[str, Kind] = {}


def register(
    name: str,
    make: Callable[[Instance, random.Random], Fault],
    *,
    lasts: tuple[float, float] = (0.5, 2.0),
    touches: Iterable[str] = (),
    loses: Loss = Loss.NOTHING,
    outage: bool = False,
    archive: str = "",
) -> None:
    """Add a kind to the register. Raises ValueError when there is one of this name."""
    if name in KINDS:
        raise ValueError(f"there are two kinds of fault named {name}")
    KINDS[name] = Kind(name, make, lasts, frozenset(touches), loses, outage, archive)
