"""An archive for looking at: nothing is created, cleaned up or changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from recovery.archive.base import Archive
from recovery.archive.errors import ArchiveWriteError


class ReadOnlyArchive:
    """`archive`, with every change refused."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def put(self, name: str, data: bytes) -> None:  # noqa: ARG002 - the protocol's signature
        raise _refused(name)

    def get(self, name: str, max_bytes: int) -> bytes:
        return self._archive.get(name, max_bytes)

    def get_some(self, wanted: Sequence[str], max_bytes: int) -> Sequence[bytes]:
        return self._archive.get_some(wanted, max_bytes)

    def confirm(self, name: str) -> None:
        raise _refused(name)

    def exists(self, name: str) -> bool:
        return self._archive.exists(name)

    def list(self, folder: str = "", start_after: str | None = None) -> Iterator[str]:
        return self._archive.list(folder, start_after)

    def folders(self, folder: str = "") -> Sequence[str]:
        return self._archive.folders(folder)

    def delete(self, name: str) -> None:
        raise _refused(name)

    def set_aside(self, name: str) -> str:
        raise _refused(name)


def _refused(name: str) -> ArchiveWriteError:
    return ArchiveWriteError(f"{name}: this archive was opened for reading only")
