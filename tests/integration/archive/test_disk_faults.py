"""A full disk and I/O errors: nothing is called stored that is not, and the next try works by itself."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recovery.archive import ArchiveWriteError, LocalArchive
from recovery.checkpoints import Batch, CheckpointStore, Part, WriteOptions
from recovery.identity import Identity
from tests.support.archive import scenario
from tests.support.archive.faults import COMPILER
from tests.support.paths import ROOT

CAN_MOUNT = hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("mount") is not None
# One of the two ways must be open; a machine that has neither cannot show anything, and must not be used as a gate.
pytestmark = pytest.mark.skipif(
    not COMPILER and not CAN_MOUNT and "CI" not in os.environ, reason="needs a C compiler, or root for a small disk"
)


def test_one_way_of_making_faults_is_open() -> None:
    assert COMPILER or CAN_MOUNT


def run_with_fault(shim: Path, folder: Path, action: str, fault: tuple[str, int, int]) -> list[str]:
    """What the scenario says when the n-th passing of a call fails with an error number, split into words."""
    call, error, number = fault
    environment = os.environ | {
        "LD_PRELOAD": str(shim),
        "FAULT_CALL": call,
        "FAULT_ERRNO": str(error),
        "FAULT_PASS": str(number),
        "FAULT_ARMED": str(folder / "armed"),
        "FAULT_FOLDER": str(folder / "archive"),
        "FAULT_LOG": str(folder / "fsync.log"),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "tests.support.archive.scenario", action, str(folder)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60)
    return [
        word for line in done.stdout.splitlines() if line.startswith(("stored", "refused")) for word in line.split()
    ]


@pytest.mark.parametrize(
    ("call", "error", "number"),
    [
        ("write", errno.ENOSPC, 1),
        ("write", errno.EIO, 1),
        ("fsync", errno.EIO, 1),
        ("fsync", errno.ENOSPC, 1),
        ("linkat", errno.EIO, 1),
        ("linkat", errno.ENOSPC, 1),
        ("folder-fsync", errno.EIO, 1),
        ("folder-fsync", errno.EIO, 2),
    ],
)
def test_a_fault_while_putting_is_never_a_success(
    shim: Path, tmp_path: Path, call: str, error: int, number: int
) -> None:
    said = run_with_fault(shim, tmp_path, "put", (call, error, number))
    # After a failed fsync of the folder the name is there, but it was not promised.
    assert said == (["refused", scenario.NAME] if call == "folder-fsync" else ["refused"])
    archive = LocalArchive(tmp_path / "archive")
    assert archive.get(scenario.NAME, 10**6) == scenario.CONTENT
    assert list((archive.root / ".tmp").iterdir()) == []


def test_a_short_write_is_continued(shim: Path, tmp_path: Path) -> None:
    assert run_with_fault(shim, tmp_path, "put", ("short-write", 0, 1)) == ["stored"]
    assert LocalArchive(tmp_path / "archive").get(scenario.NAME, 10**6) == scenario.CONTENT


def test_a_failed_fsync_is_not_tried_again_on_the_same_file(shim: Path, tmp_path: Path) -> None:
    run_with_fault(shim, tmp_path, "put", ("fsync", errno.EIO, 1))
    log = [line.split(" ", 1) for line in (tmp_path / "fsync.log").read_text().splitlines()]
    (failed,) = [path for outcome, path in log if outcome == "failed"]
    assert [outcome for outcome, path in log if path == failed] == ["failed"]
    assert any(outcome == "ok" and path.endswith(".tmp") for outcome, path in log), "the second try used a new file"


@pytest.mark.parametrize("number", [1, 3, 5])
@pytest.mark.parametrize("call", ["write", "fsync", "linkat"])
def test_a_fault_while_making_a_checkpoint_leaves_the_others_whole(
    shim: Path, tmp_path: Path, call: str, number: int
) -> None:
    """The last of the five objects is the manifest."""
    assert run_with_fault(shim, tmp_path, "create", (call, errno.EIO, number)) == ["refused"]
    store = scenario.open_store(tmp_path)
    assert [store.verify(checkpoint_id).ok for checkpoint_id in store.ids()] == [True]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one megabyte."""
    if not CAN_MOUNT:
        pytest.skip("only root can mount; the injected faults show the same")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", disk], check=False)
    if mounted.returncode != 0 and COMPILER:
        pytest.skip("mounting is forbidden here; the injected faults show the same")
    mounted.check_returncode()
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_disk_that_is_full_keeps_what_it_has_and_resumes(small_disk: Path) -> None:
    archive = LocalArchive(small_disk / "archive")
    full = 0
    with pytest.raises(ArchiveWriteError, match="No space left"):  # noqa: PT012 - when it happens is up to the disk
        for full in range(100):
            archive.put(f"blocks/{full:03d}.block", os.urandom(50_000))
    assert 10 < full < 30
    assert len(list(archive.list())) == full
    assert not archive.exists(f"blocks/{full:03d}.block")
    assert list((archive.root / ".tmp").iterdir()) == []
    archive.delete("blocks/000.block")
    archive.put(f"blocks/{full:03d}.block", os.urandom(50_000))


def test_a_checkpoint_that_does_not_fit_makes_room_again(small_disk: Path) -> None:
    options = WriteOptions(chunk_bytes=100_000)
    store = CheckpointStore(LocalArchive(small_disk / "archive"), Identity.generate(), options=options)
    small = store.create(sequence=1, parts=[Part("a", [Batch(os.urandom(100_000), 1)])])
    with pytest.raises(ArchiveWriteError):
        store.create(sequence=2, parts=[Part("a", [Batch(os.urandom(90_000), 1) for _ in range(40)])])
    assert store.ids() == [small.id]
    again = store.create(sequence=3, parts=[Part("a", [Batch(os.urandom(600_000), 1)])])
    assert store.newest_verified() == again
