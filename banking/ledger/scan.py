"""Reading all accounts out of Redis while it goes on working."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from banking.ledger.ledger import Ledger

_PAGE = 1_000


def scan_accounts(ledger: Ledger) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(key, version, record) of every account that is there throughout; each pair is of one moment.

    Accounts that come or go meanwhile may be missing or be told twice. Half a pair (a record without a version, or
    the reverse) is told too, with the other half b"".
    """
    keys = ledger.epoch_keys
    for source in (keys.versions, keys.accounts):
        cursor = 0
        while True:
            cursor, found = ledger.call(lambda at=cursor, name=source: ledger.client.hscan(name, at, count=_PAGE))
            # The second pass only looks for records without a version: every other key was told by the first.
            names = list(found) if source == keys.versions else _without_version(ledger, list(found))
            if names:
                yield from _pairs(ledger, names)
            if cursor == 0:
                break


def _without_version(ledger: Ledger, names: list[bytes]) -> list[bytes]:
    if not names:
        return []
    versions = ledger.call(lambda: ledger.client.hmget(ledger.epoch_keys.versions, names))
    return [name for name, version in zip(names, versions, strict=True) if version is None]


def _pairs(ledger: Ledger, names: list[bytes]) -> Iterator[tuple[bytes, bytes, bytes]]:
    def read() -> Any:
        pipe = ledger.client.pipeline(transaction=True)
        pipe.hmget(ledger.epoch_keys.versions, names)
        pipe.hmget(ledger.epoch_keys.accounts, names)
        return pipe.execute()

    versions, records = ledger.call(read)
    for name, version, record in zip(names, versions, records, strict=True):
        if version is not None or record is not None:
            yield name, version or b"", record or b""
