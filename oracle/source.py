"""Where blocks come from: anything that gives the bytes of a slot's block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from oracle.errors import BadArchive


class Source(Protocol):
    """Objects of an archive, by the names in `docs/archive.md`, without the folder of the ledger."""

    def names(self, folder: str) -> Iterator[str]:
        """Names of all objects below `folder`, in order."""
        ...

    def get(self, name: str) -> bytes:
        """The bytes of one object. Raises BadArchive when it is not there."""
        ...


class FolderSource:
    """The folder of one ledger in a directory archive: `ARCHIVE/ledgers/NAME`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self, folder: str) -> Iterator[str]:
        """Names of all objects below `folder`, in order."""
        found = (path for path in (self._folder / folder).rglob("*") if path.is_file())
        return iter(sorted(path.relative_to(self._folder).as_posix() for path in found))

    def get(self, name: str) -> bytes:
        """The bytes of one object. Raises BadArchive when it is not there."""
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise BadArchive(f"{name} cannot be read: {error.strerror}") from error


def block_slots(source: Source) -> list[int]:
    """The slots that have a block, ascending."""
    names = (name.rpartition("/")[2] for name in source.names("blocks"))
    return sorted(int(name.removesuffix(".block")) for name in names if name.endswith(".block"))


def block_name(slot: int) -> str:
    """The name of a slot's block: 10,000 to a folder."""
    return f"blocks/{slot // 10_000:09d}/{slot:012d}.block"
