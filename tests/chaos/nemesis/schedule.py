"""Which faults come when: from the seed alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.nemesis.kinds import Kind

#: Shares of cycles with one fault, two, three that overlap.
_TOGETHER = (1, 1, 1, 2, 2, 3)
#: The latest start of a fault within its cycle (seconds).
_SPREAD = 1.5


@dataclass(frozen=True)
class Strike:
    """One fault: from `at` seconds after its cycle's beginning, for `seconds`; `seed` decides all else about it."""

    kind: str
    at: float
    seconds: float
    seed: int


@dataclass(frozen=True)
class Cycle:
    """Faults that overlap. After them everything heals, and must work again."""

    number: int
    strikes: tuple[Strike, ...]


def cycles(seed: int, kinds: Mapping[str, Kind]) -> Iterator[Cycle]:
    """Without end. Every kind comes once before any comes again."""
    chance = random.Random(seed)
    deck: list[str] = []
    number = 0
    while True:
        strikes: list[Strike] = []
        taken: set[str] = set()
        for _ in range(chance.choice(_TOGETHER)):
            if not deck:
                deck = sorted(kinds)
                chance.shuffle(deck)
            name = _next(deck, kinds, taken)
            if name is None:
                break
            deck.remove(name)
            kind = kinds[name]
            taken |= kind.touches
            at = 0.0 if not strikes else round(chance.uniform(0.0, _SPREAD), 2)
            strikes.append(Strike(name, at, round(chance.uniform(*kind.lasts), 2), chance.randrange(2**32)))
        number += 1
        yield Cycle(number, tuple(strikes))


def _next(deck: Sequence[str], kinds: Mapping[str, Kind], taken: set[str]) -> str | None:
    """The first of the deck that touches nothing that is taken."""
    return next((name for name in deck if not kinds[name].touches & taken), None)
