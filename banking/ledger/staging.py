"""What a restore loads: hashes beside the ones that are served, which only the holder of its lease writes.

All raise LedgerUnavailable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

from banking.ledger.ledger import Ledger

#: A hash of an epoch, as `EpochKeys` calls it.
StagedHash = Literal["accounts", "versions", "status", "messages", "blockhashes"]


def write_staged(
    ledger: Ledger, token: str, writes: Sequence[tuple[StagedHash, Sequence[bytes | int]]], *, expiry: int
) -> None:
    """Write names and values, one after the other, into hashes of the restore with lease `token`.

    Without further writes they go by themselves after `expiry` seconds.
    """
    staging = ledger.keys.staging(token)
    pipe = ledger.client.pipeline(transaction=False)
    for name, pairs in writes:
        key = getattr(staging, name)
        pipe.hset(key, items=list(pairs))
        pipe.expire(key, expiry)
    ledger.call(pipe.execute)


def staged_outcomes(ledger: Ledger, token: str, signatures: Sequence[bytes]) -> list[bytes | None]:
    """The statuses that the restore with lease `token` has loaded, in the order asked."""
    status = ledger.keys.staging(token).status
    names: list[Any] = list(signatures)
    return cast("list[bytes | None]", ledger.call(lambda: ledger.client.hmget(status, names)))


def drop_staged(ledger: Ledger, token: str) -> None:
    """Drop what the restore with lease `token` loaded."""
    ledger.call(lambda: ledger.client.unlink(*ledger.keys.staging(token).all()))
