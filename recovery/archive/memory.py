"""The archive's stub twin for unit tests: same behaviour, nothing durable."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from recovery.archive import names
from recovery.archive.base import MAX_OBJECT_BYTES
from recovery.archive.errors import AlreadyExists, NotFound, TooLarge


class MemoryArchive:
    """Objects in a dictionary of this process."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def put(self, name: str, data: bytes) -> None:
        names.check_new_name(name)
        if len(data) > MAX_OBJECT_BYTES:
            raise TooLarge(f"{name}: {len(data)} bytes")
        with self._lock:
            if name in self._objects:
                raise AlreadyExists(name)
            self._objects[name] = bytes(data)

    def get(self, name: str, max_bytes: int) -> bytes:
        data = self._objects.get(names.check_name(name))
        if data is None:
            raise NotFound(name)
        if len(data) > max_bytes:
            raise TooLarge(f"{name}: {len(data)} bytes, at most {max_bytes} allowed")
        return data

    def get_some(self, wanted: Sequence[str], max_bytes: int) -> Sequence[bytes]:
        return [self.get(wanted[0], max_bytes)]

    def confirm(self, name: str) -> None:
        if not self.exists(name):
            raise NotFound(name)

    def exists(self, name: str) -> bool:
        return names.check_name(name) in self._objects

    def list(self, folder: str = "", start_after: str | None = None) -> Iterator[str]:
        inside = f"{names.check_folder(folder)}/" if folder else ""
        with self._lock:
            found = sorted(name for name in self._objects if name.startswith(inside))
        if not folder:
            found = [name for name in found if not name.startswith(f"{names.QUARANTINE}/")]
        return iter(found[bisect_right(found, start_after) if start_after is not None else 0 :])

    def folders(self, folder: str = "") -> Sequence[str]:
        cut = len(folder) + 1 if folder else 0
        return sorted({name[cut:].split("/")[0] for name in self.list(folder) if "/" in name[cut:]})

    def delete(self, name: str) -> None:
        names.check_name(name)
        with self._lock:
            self._objects.pop(name, None)

    def set_aside(self, name: str) -> str:
        names.check_new_name(name)
        with self._lock:
            if name not in self._objects:
                raise NotFound(name)
            for aside in names.names_aside(name):
                if aside not in self._objects:
                    self._objects[aside] = self._objects.pop(name)
                    return aside
        raise AlreadyExists(f"the quarantine is full of {name}")
