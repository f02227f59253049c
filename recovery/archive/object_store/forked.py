"""Object stores in forked workers.

obstore's threads do not survive fork(2): in a child of a process that has used it, every call waits for ever.
Celery's prefork pool is made of such children; there the calls go to a helper process of the child's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from recovery.archive import names
from recovery.archive.object_store.relay import Relay

if TYPE_CHECKING:
    from obstore.store import S3Config

    from recovery.archive.object_store.archive import ObjectArchive

_PAGE = 1000
_runtime_pid: int | None = None


class ForkSafeArchive:
    """An `ObjectArchive` that may be used before and after a fork."""

    def __init__(self, url: str, config: S3Config) -> None:
        self._url = url
        self._config = config
        self._direct: ObjectArchive | None = None
        self._relay: tuple[int, Relay] | None = None

    def put(self, name: str, data: bytes) -> None:
        names.check_new_name(name)
        self._backend().put(name, data)

    def get(self, name: str, max_bytes: int) -> bytes:
        return self._backend().get(names.check_name(name), max_bytes)

    def get_some(self, wanted: Sequence[str], max_bytes: int) -> Sequence[bytes]:
        return self._backend().get_some(wanted, max_bytes)

    def confirm(self, name: str) -> None:
        self._backend().confirm(names.check_name(name))

    def exists(self, name: str) -> bool:
        return self._backend().exists(names.check_name(name))

    def list(self, folder: str = "", start_after: str | None = None) -> Iterator[str]:
        names.check_folder(folder)
        while page := self._backend().page(folder, start_after, _PAGE):
            yield from page
            start_after = page[-1]

    def folders(self, folder: str = "") -> Sequence[str]:
        return self._backend().folders(names.check_folder(folder))

    def delete(self, name: str) -> None:
        self._backend().delete(names.check_name(name))

    def set_aside(self, name: str) -> str:
        return self._backend().set_aside(names.check_new_name(name))

    def _backend(self) -> ObjectArchive | Relay:
        global _runtime_pid
        pid = os.getpid()
        if _runtime_pid in {None, pid}:
            _runtime_pid = pid
            if self._direct is None:
                from recovery.archive.object_store.archive import ObjectArchive

                self._direct = ObjectArchive(self._url, self._config)
            return self._direct
        if self._relay is None or self._relay[0] != pid:
            self._relay = (pid, Relay(self._url, self._config))
        return self._relay[1]
