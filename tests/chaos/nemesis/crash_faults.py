"""Named points at which a process kills itself: every step of accept, commit, seal, archive, checkpoint and restore."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.harness.instance import WORKERS, Instance
from tests.chaos.nemesis.kinds import Fault, Loss, register

_VARIABLE = "TRUNKLINE_CRASH_POINTS"
#: In the RPC server, as one of the producers.
ACCEPT_POINTS = ("accept.checked", "accept.recorded", "accept.enqueued")
#: In a transaction worker.
COMMIT_POINTS = ("stage.executed", "processor.committed")
#: In the maintenance worker.
SEAL_POINTS = (
    "seal.closed", "seal.archived", "seal.finalized", "archive.before-write", "archive.before-fsync",
    "archive.before-link", "archive.before-folder-fsync", "archive.before-unlink",
)  # fmt: skip
CHECKPOINT_POINTS = (
    "checkpoint.before-part", "checkpoint.before-chunk", "checkpoint.before-manifest", "checkpoint.after-manifest",
)  # fmt: skip
#: In whoever restores a lost ledger.
RESTORE_POINTS = (
    "restore.fenced", "restore.folded", "restore.loading", "restore.loaded", "restore.opened", "restore.forgotten",
    "restore.switched",
)  # fmt: skip


class CrashAt(Fault):
    """Processes are started with one point armed, at which the first that reaches it dies, once."""

    def __init__(self, instance: Instance, chance: random.Random, point: str, names: tuple[str, ...]) -> None:
        super().__init__(instance, chance)
        self.target, self._names = point, names
        self._flag: Path = instance.folder / f"flag-{chance.randrange(10**9)}"

    def inject(self) -> None:
        # Rare points at the first pass; frequent ones at some pass.
        passes = 1 if self.target.startswith(("restore", "checkpoint")) else self.chance.randrange(1, 4)
        for name in self._names:
            process = self.instance.process(name)
            process.kill(hold=True)
            process.extra = {_VARIABLE: f"{self.target}:{passes}@{self._flag}"}
            process.start()

    def heal(self) -> None:
        for name in self._names:
            self.instance.process(name).extra = {}
        self.reached = self._flag.exists()


class CrashInRestore(CrashAt):
    """The same, and Redis is emptied, so that there is something to restore."""

    def inject(self) -> None:
        super().inject()
        self.instance.client.flushall()
        self.lost_at = time.monotonic()


def _crash(make: type[CrashAt], point: str, names: tuple[str, ...]) -> Callable[[Instance, random.Random], Fault]:
    return lambda instance, chance: make(instance, chance, point, names)


for _point in ACCEPT_POINTS:
    register(f"crash-at-{_point}", _crash(CrashAt, _point, ("rpc",)), lasts=(4.0, 6.0), touches=["rpc"], outage=True)
for _point in COMMIT_POINTS:
    register(f"crash-at-{_point}", _crash(CrashAt, _point, WORKERS[:1]), lasts=(4.0, 6.0), touches=["workers"])
for _point in (*SEAL_POINTS, *CHECKPOINT_POINTS):
    register(
        f"crash-at-{_point}",
        _crash(CrashAt, _point, ("maintenance",)),
        lasts=(4.0, 6.0) if _point in SEAL_POINTS else (7.0, 10.0),
        touches=["maintenance", "archive"],
        archive="folder" if _point.startswith("archive") else "",
    )
for _point in RESTORE_POINTS:
    register(
        f"crash-at-{_point}",
        _crash(CrashInRestore, _point, (*WORKERS, "maintenance")),
        lasts=(4.0, 7.0),
        touches=["workers", "maintenance", "redis"],
        loses=Loss.UNFINAL,
        outage=True,
    )
