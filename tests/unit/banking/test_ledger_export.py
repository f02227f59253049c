"""What a foreign export may cost before it is refused."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from banking.admin.ledger_export import BadExport, import_ledger
from banking.blocks.store import BlockStore
from recovery.archive import MemoryArchive
from recovery.identity import Identity

MIB = 1024 * 1024
#: What the header of the crafted member claims, and the file holds.
CLAIMED = 2 * 1024 * MIB


def header(kind: bytes, size: int, name: str = "././@LongLink") -> bytes:
    entry = tarfile.TarInfo(name)
    entry.type, entry.size = kind, size
    return entry.tobuf(tarfile.GNU_FORMAT)


def bomb(path: Path, first: bytes) -> Path:
    """`first` and then gigabytes of zeros, in a few megabytes: gzip members may follow one another."""
    zeros = gzip.compress(bytes(32 * MIB), compresslevel=1)
    with path.open("wb") as file:
        file.write(gzip.compress(first))
        for _ in range(CLAIMED // (32 * MIB)):
            file.write(zeros)
    return path


@pytest.fixture
def take_in() -> Callable[[io.BufferedIOBase, int], int]:
    def take(file: io.BufferedIOBase, most_bytes: int) -> int:
        blocks = BlockStore(MemoryArchive(), "main", Identity.generate())
        return import_ledger(blocks, file, most_bytes=most_bytes)  # type: ignore[arg-type]

    return take


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_name_of_gigabytes_is_not_read(take_in: Callable[..., int], tmp_path: Path, kind: bytes) -> None:
    path = bomb(tmp_path / "bomb.gz", header(kind, CLAIMED))
    tracemalloc.start()
    try:
        with gzip.open(path) as file, pytest.raises(BadExport):
            take_in(file, 2**36)
        read = file.tell() if not file.closed else 0
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
        assert read < MIB
    finally:
        tracemalloc.stop()


def test_headers_count_as_well(take_in: Callable[..., int]) -> None:
    """Empty members hold no bytes, but there is no end to them."""
    members = b"".join(header(tarfile.REGTYPE, 0, f"blocks/000000000/{n:012}.block") for n in range(1000))
    with pytest.raises(BadExport, match="more than 100000 bytes"):
        take_in(io.BytesIO(members), 100_000)
