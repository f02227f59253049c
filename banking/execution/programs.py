"""Which code the VM has compiled, and from which records."""

from __future__ import annotations

from collections.abc import Mapping

from banking.execution.native import LOADER_V4, PROGRAM_LOADERS, UPGRADEABLE_LOADER
from banking.ledger.records import EXECUTABLE_AT, HEADER_SIZE, OWNER_AT

_LOADERS = frozenset(map(bytes, (*PROGRAM_LOADERS, LOADER_V4)))
#: Compiled code takes about five times the bytes of its ELF (measured with Token-2022).
_COMPILED = 5
_PROGRAM_TAG = b"\x02\x00\x00\x00"
#: No account can have it: it is no public key that anybody holds, nor an address that a program derives.
_NOWHERE = b"\xff" * 32


class Programs:
    """For each program that a VM has compiled, the records it was compiled from."""

    def __init__(self) -> None:
        #: Programs that the VM's own cache knows, in whatever version.
        self.cached: set[bytes] = set()
        #: About what the compiled code takes.
        self.code_bytes = 0
        self._sizes: dict[bytes, int] = {}
        self._sources: dict[bytes, tuple[bytes, bytes | None, bytes]] = {}
        self._by_data: dict[bytes, set[bytes]] = {}

    def is_current(self, key: bytes, record: bytes, view: Mapping[bytes, bytes]) -> bool:
        """Whether the compiled code is that of these records. (The same objects nearly always, so this is quick.)"""
        source = self._sources.get(key)
        if source is None or source[0] != record:
            return False
        return source[1] is None or view.get(source[1], b"") == source[2]

    def compiled(self, key: bytes, record: bytes, data_key: bytes | None, data: bytes) -> None:
        """The VM has compiled program `key` from these records."""
        self.cached.add(key)
        self._sources[key] = record, data_key, data
        size = _COMPILED * (len(record) + len(data))
        self.code_bytes += size - self._sizes.get(key, 0)
        self._sizes[key] = size
        if data_key is not None:
            self._by_data.setdefault(data_key, set()).add(key)

    def written(self, writes: Mapping[bytes, bytes]) -> None:
        """Accounts changed: what was compiled from them, or by the VM beside it, is not to be relied on."""
        for key, record in writes.items():
            if key in self._by_data:
                for program in self._by_data[key]:
                    self._sources.pop(program, None)
            if record and record[EXECUTABLE_AT]:
                self.cached.add(key)
            if key in self._sources:
                del self._sources[key]


def not_deployed(record: bytes) -> bytes:
    """A program account whose code is gone, in the place of one that has none; calls end as `UnsupportedProgramId`.

    An executable account of no loader is no program at all, and is shown as not executable.
    """
    if record[OWNER_AT:HEADER_SIZE] not in _LOADERS:
        return record[:EXECUTABLE_AT] + b"\0" + record[OWNER_AT:]
    head = record[:EXECUTABLE_AT] + b"\x01" + bytes(UPGRADEABLE_LOADER)
    return head + _PROGRAM_TAG + _NOWHERE


def owned_by_loader(record: bytes) -> bool:
    """Whether an account belongs to a loader of programs."""
    return record[OWNER_AT:HEADER_SIZE] in _LOADERS
