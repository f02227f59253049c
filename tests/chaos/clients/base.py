"""What all clients have: a seed of their own, a history, and a loop that nothing ends but the storm's end."""

from __future__ import annotations

import random
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.clients.wallets import Wallets
from tests.chaos.history import History


@dataclass
class Surroundings:
    """Where the instance is, as its users know it. `archive` is the folder of the ledger in the archive."""

    seed: int
    rpc_url: str
    archive: Path
    faucet: Path
    history: History
    stop: threading.Event

    def archived(self, slot: int | None) -> bool | None:
        """Whether the block of `slot` is in the archive right now; None without a slot, or a folder."""
        if slot is None or not self.archive.exists():
            return None
        return (self.archive / "blocks" / f"{slot // 10_000:09d}" / f"{slot:012d}.block").exists()


class Client(ABC):
    """`step` does something once; what it raises is noted, and the client goes on."""

    #: Seconds between two steps.
    pause = 0.1

    def __init__(self, name: str, around: Surroundings) -> None:
        self.name = name
        self.around = around
        self.chance = random.Random(f"{around.seed}/{name}")
        self.wallets = Wallets(around.seed, name, self.chance)

    @abstractmethod
    def step(self) -> None:
        """Do what such a client does, once."""

    def run(self) -> None:
        """Until the storm is over."""
        while not self.around.stop.wait(self.chance.uniform(0.5, 1.5) * self.pause):
            try:
                self.step()
            except Exception as error:  # noqa: BLE001 - whatever a client sees in a storm, it goes on
                self.note("trouble", error=f"{type(error).__name__}: {error}"[:300])

    def note(self, kind: str, **fields: Any) -> None:
        self.around.history.note(kind, client=self.name, **fields)


def now() -> float:
    """The machine's monotonic clock, which all processes share (seconds)."""
    return round(time.monotonic(), 4)
