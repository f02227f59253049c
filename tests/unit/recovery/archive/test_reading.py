"""An archive for looking at refuses every change, and reads as the one behind it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from recovery.archive import ArchiveWriteError, MemoryArchive
from recovery.archive.reading import ReadOnlyArchive


@pytest.mark.parametrize(
    "change",
    [
        lambda archive: archive.put("ledgers/main/blocks/2.block", b"new"),
        lambda archive: archive.confirm("ledgers/main/blocks/1.block"),
        lambda archive: archive.delete("ledgers/main/blocks/1.block"),
        lambda archive: archive.set_aside("ledgers/main/blocks/1.block"),
    ],
)
def test_reads_pass_and_changes_are_refused(change: Callable[[ReadOnlyArchive], object]) -> None:
    kept = MemoryArchive()
    kept.put("ledgers/main/blocks/1.block", b"one")
    archive = ReadOnlyArchive(kept)
    with pytest.raises(ArchiveWriteError, match="reading only"):
        change(archive)
    assert list(kept.list()) == list(archive.list()) == ["ledgers/main/blocks/1.block"]
    assert archive.get("ledgers/main/blocks/1.block", 100) == b"one"
    assert archive.exists("ledgers/main/blocks/1.block")
    assert not archive.exists("ledgers/main/blocks/2.block")
    assert list(archive.folders()) == list(kept.folders())
