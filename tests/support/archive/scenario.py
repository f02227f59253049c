"""What the killed processes of these tests do; also the checks that the next process makes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from recovery import crash_points
from recovery.archive import AlreadyExists, ArchiveWriteError, LocalArchive, put_same
from recovery.checkpoints import Batch, CheckpointStore, ComponentLayer, Manifest, Part, WriteOptions
from recovery.checkpoints.recovery_manager import RecoveryManager
from recovery.identity import Identity

NAME = "blocks/000001.block"
CONTENT = b"content" * 1000
CHUNKS = 3


class Notebook:
    """A component that keeps its state in a file, switched by a rename."""

    def __init__(self, folder: Path) -> None:
        self.live = folder / "live"
        self.staged = folder / "staged"

    def checkpoint_parts(self, base: Manifest | None) -> Iterable[Part]:
        data = self.live.read_bytes() if self.live.exists() else b""
        yield Part("pages", [Batch(data + bytes([page]), 1) for page in range(CHUNKS)])
        yield Part("index", [Batch(data, 1)])

    def restore_parts(self, layers: Sequence[ComponentLayer]) -> None:
        self.staged.write_bytes(b"".join(batch.data for batch in layers[-1].read("index")))

    def activate_restored(self) -> None:
        self.staged.rename(self.live)

    def discard_restored(self) -> None:
        self.staged.unlink(missing_ok=True)


def open_store(folder: Path) -> CheckpointStore:
    identity = Identity.load_or_create(folder / "identity.json")
    options = WriteOptions(chunk_bytes=16)
    return CheckpointStore(LocalArchive(folder / "archive", orphan_seconds=0), identity, options=options)


def open_manager(folder: Path) -> RecoveryManager:
    manager = RecoveryManager(open_store(folder))
    manager.register_component("notebook", Notebook(folder))
    return manager


def put(folder: Path) -> None:
    put_same(LocalArchive(folder / "archive", orphan_seconds=0), NAME, CONTENT)


def aside(folder: Path) -> None:
    archive = LocalArchive(folder / "archive")
    if archive.exists(NAME):
        archive.set_aside(NAME)


def create(folder: Path) -> None:
    sequence = len(open_store(folder).ids())
    (folder / "live").write_bytes(b"state %d" % sequence)
    open_manager(folder).create_system_checkpoint(sequence=sequence)


def restore(folder: Path) -> None:
    if open_manager(folder).auto_recover() is None:
        raise SystemExit("nothing to restore")


def cleanup(folder: Path) -> None:
    open_store(folder).cleanup(keep=3)


def quarantine(folder: Path) -> None:
    """Set the second checkpoint aside, or finish doing so."""
    for checkpoint_id in open_store(folder).archive.folders("checkpoints"):
        if int(checkpoint_id.split("-")[0]) == 1:
            open_store(folder).quarantine(checkpoint_id)


ACTIONS: dict[str, Callable[[Path], None]] = {
    "put": put,
    "aside": aside,
    "create": create,
    "restore": restore,
    "cleanup": cleanup,
    "quarantine": quarantine,
}


def run(action: str, folder: Path, armed: str = "") -> None:
    """One action in this process, which dies at the `armed` points."""
    crash_points.arm(armed)
    ACTIONS[action](folder)


def race(folder: Path, number: int, names: int, start: Callable[[], object], won: Path) -> None:
    """Put every name, and write down which of them this process created."""
    archive = LocalArchive(folder)
    mine: list[str] = []
    start()
    for index in range(names):
        name = f"race/{index:04d}.block"
        try:
            archive.put(name, b"%d" % number * 100)
        except AlreadyExists:
            continue
        mine.append(name)
    won.write_text("\n".join(mine))


def faulty_put(folder: Path) -> None:
    """Put under an injected fault, say what came of it, and put again without the fault."""
    archive = LocalArchive(folder / "archive")
    (folder / "armed").touch()
    try:
        archive.put(NAME, CONTENT)
        print("stored")
    except ArchiveWriteError:
        print("refused", *archive.list())
    put_same(archive, NAME, CONTENT)


def faulty_create(folder: Path) -> None:
    """Make a checkpoint under an injected fault, say what came of it, and make another one without the fault."""
    manager = open_manager(folder)
    (folder / "armed").touch()
    try:
        print("stored", manager.create_system_checkpoint(sequence=1).id)
    except ArchiveWriteError:
        print("refused")
    manager.create_system_checkpoint(sequence=2)


if __name__ == "__main__":
    {"put": faulty_put, "create": faulty_create}[sys.argv[1]](Path(sys.argv[2]))
