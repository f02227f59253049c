"""Programs at hand: large records that hardly ever change are fetched once, then only asked for by version."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from itertools import islice

from banking.execution.account_access import program_data_key
from banking.ledger.loaded_state import LoadedState
from banking.ledger.records import EXECUTABLE_AT

_LARGE_BYTES = 1024
_MAX_BYTES = 64 * 1024 * 1024
#: A program not among these costs one round trip more.
_MAX_PROGRAMS = 10_000


class ProgramCache:
    """The newest large records, up to 64 MiB, least recently used out first."""

    def __init__(self) -> None:
        self._records: OrderedDict[bytes, tuple[bytes, bytes]] = OrderedDict()
        self._data_keys: dict[bytes, bytes] = {}
        self._bytes = 0

    def data_of(self, keys: Collection[bytes]) -> list[bytes]:
        """The code of the programs among `keys`, as far as it is known here."""
        known = self._data_keys
        return [known[key] for key in keys if key in known] if known else []

    def versions(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The versions at hand of `keys`."""
        records = self._records
        return {key: records[key][0] for key in keys if key in records} if records else {}

    def newest(self, most: int) -> dict[bytes, bytes]:
        """The versions of the `most` records that were used last."""
        return {key: version for key, (version, _) in islice(reversed(self._records.items()), most)}

    def complete(self, loaded: LoadedState) -> None:
        """Fill in the records that were not sent because they are at hand, and keep the new large ones."""
        # First what is counted on, before anything new takes its place.
        for key, version in loaded.versions.items():
            if version and not loaded.records[key]:
                loaded.records[key] = self._records[key][1]
                self._records.move_to_end(key)
            elif not version:
                self._forget(key)
        for key, record in loaded.records.items():
            # Nearly no record is of interest, and this is asked of every one.
            if record and (record[EXECUTABLE_AT] or len(record) >= _LARGE_BYTES):
                self._learn(key, loaded.versions[key], record)

    def _learn(self, key: bytes, version: bytes, record: bytes) -> None:
        if record and (data := program_data_key(record)) is not None:
            self._data_keys[key] = data
            if len(self._data_keys) > _MAX_PROGRAMS:
                del self._data_keys[next(iter(self._data_keys))]
        if len(record) < _LARGE_BYTES:
            return
        self._forget(key)
        self._bytes += len(record)
        self._records[key] = (version, record)
        while self._bytes > _MAX_BYTES and len(self._records) > 1:
            _, (_, dropped) = self._records.popitem(last=False)
            self._bytes -= len(dropped)

    def _forget(self, key: bytes) -> None:
        if (old := self._records.pop(key, None)) is not None:
            self._bytes -= len(old[1])
