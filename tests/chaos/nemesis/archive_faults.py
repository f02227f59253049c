"""The archive: a disk that fails, and checkpoints and blocks that are damaged before Redis is lost."""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.harness.instance import Instance
from tests.chaos.nemesis.kinds import Fault, Loss, register


class Disk(Fault):
    """One call below the archive's folder fails or waits; see `harness/archive_faults.c`."""

    def __init__(self, instance: Instance, chance: random.Random, text: str) -> None:
        super().__init__(instance, chance)
        self._text = text
        self.target = "archive"

    def inject(self) -> None:
        draft = self.instance.fault_file.with_suffix(".new")
        draft.write_text(self._text)
        draft.replace(self.instance.fault_file)

    def heal(self) -> None:
        self.instance.fault_file.unlink(missing_ok=True)


class Damaged(Fault):
    """An object of the archive is damaged for good, then Redis is lost: what is damaged must not be used."""

    def __init__(self, instance: Instance, chance: random.Random, how: str, manifest: bool) -> None:
        super().__init__(instance, chance)
        self._how, self._manifest = how, manifest

    def inject(self) -> None:
        pattern = "checkpoint.manifest" if self._manifest else "part-*.zst"
        newest = sorted(self.instance.archive.glob("checkpoints/*/checkpoint.manifest"))
        if newest:
            victim = self.chance.choice(sorted(newest[-1].parent.glob(pattern)))
            damage(victim, self._how, self.chance)
            self.damaged, self.target = [newest[-1].parent.name], str(victim.relative_to(self.instance.archive))
        self.instance.client.flushall()
        self.lost_at = time.monotonic()


class BlockDamaged(Fault):
    """A block is damaged, Redis is lost, and nobody may go on until the block is put back."""

    def __init__(self, instance: Instance, chance: random.Random, how: str) -> None:
        super().__init__(instance, chance)
        self._how = how
        self._victim: Path | None = None

    def inject(self) -> None:
        blocks = sorted(self.instance.archive.glob("blocks/*/*.block"))
        # Without its newest block an archive is an older copy of itself, which nobody could tell from a whole one.
        newest = 2 if self._how == "deleted" else 1
        self._victim = blocks[-self.chance.randrange(newest, min(8, len(blocks)))]
        self._kept = self._victim.read_bytes()
        damage(self._victim, self._how, self.chance)
        self.target = self._victim.name
        self.instance.client.flushall()
        self.lost_at = time.monotonic()

    def heal(self) -> None:
        assert self._victim is not None
        if not self._victim.exists() or self._victim.read_bytes() != self._kept:
            draft = self._victim.with_suffix(".chaos")
            draft.write_bytes(self._kept)
            draft.chmod(0o600)
            draft.replace(self._victim)


def damage(path: Path, how: str, chance: random.Random) -> None:
    """`flipped`: one bit; `truncated`: the second half is gone; `deleted`."""
    data = bytearray(path.read_bytes())
    match how:
        case "flipped":
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            path.write_bytes(bytes(data))
        case "truncated":
            path.write_bytes(bytes(data[: len(data) // 2]))
        case _:
            path.unlink()


def _disk(text: str) -> Callable[[Instance, random.Random], Fault]:
    return lambda instance, chance: Disk(instance, chance, text)


def _damaged(how: str, *, manifest: bool) -> Callable[[Instance, random.Random], Fault]:
    return lambda instance, chance: Damaged(instance, chance, how, manifest)


def _block(how: str) -> Callable[[Instance, random.Random], Fault]:
    return lambda instance, chance: BlockDamaged(instance, chance, how)


_DISKS = {
    "archive-full": f"write {errno.ENOSPC} 0",
    "archive-sync-fails": f"fsync {errno.EIO} 0",
    "archive-read-only": f"linkat {errno.EROFS} 0",
    "archive-slow": "fsync 0 700",
}
for _name, _text in _DISKS.items():
    register(_name, _disk(_text), lasts=(1.0, 6.0), touches=["archive"], archive="folder")
for _how in ("flipped", "truncated", "deleted"):
    for _manifest in (True, False):
        register(
            f"{'manifest' if _manifest else 'checkpoint'}-{_how}",
            _damaged(_how, manifest=_manifest),
            touches=["archive", "redis"],
            loses=Loss.UNFINAL,
            outage=True,
            archive="folder",
        )
    register(
        f"block-{_how}",
        _block(_how),
        lasts=(2.0, 4.0),
        touches=["archive", "redis"],
        loses=Loss.UNFINAL,
        outage=True,
        archive="folder",
    )
