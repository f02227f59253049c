"""Reading all accounts out of Redis while it goes on working."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from banking.ledger.ledger import Ledger
from banking.ledger.stored_account import record_of, version_of

_PAGE = 1_000


def scan_accounts(ledger: Ledger) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(key, version, record) of every account that is there throughout; each pair is of one moment.

    The version of a plain account is the sequence number alone (`banking.ledger.stored_account`). Accounts that come or
    go meanwhile may be missing or be told twice. Half a pair (a record without a version, or the reverse) is told too,
    with the other half b"".
    """
    keys = ledger.epoch_keys
    for source in (keys.accounts, keys.versions):
        cursor = 0
        while True:
            cursor, found = ledger.call(lambda at=cursor, name=source: ledger.client.hscan(name, at, count=_PAGE))
            # The second pass only looks for versions without a record: every other key was told by the first.
            names = list(found) if source == keys.accounts else _without_record(ledger, list(found))
            if names:
                yield from _pairs(ledger, names)
            if cursor == 0:
                break


def _without_record(ledger: Ledger, names: list[bytes]) -> list[bytes]:
    if not names:
        return []
    there = ledger.call(
        lambda: [ledger.client.hexists(ledger.epoch_keys.accounts, cast("Any", name)) for name in names]
    )
    return [name for name, is_there in zip(names, there, strict=True) if not is_there]


def _pairs(ledger: Ledger, names: list[bytes]) -> Iterator[tuple[bytes, bytes, bytes]]:
    def read() -> Any:
        pipe = ledger.client.pipeline(transaction=True)
        pipe.hmget(ledger.epoch_keys.versions, names)
        pipe.hmget(ledger.epoch_keys.accounts, names)
        return pipe.execute()

    versions, values = ledger.call(read)
    for name, beside, value in zip(names, versions, values, strict=True):
        if beside is not None or value is not None:
            stored = value or b""
            yield name, version_of(stored, beside) or b"", record_of(stored)
