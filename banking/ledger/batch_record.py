"""The record of a batch in intake: written once by whoever submits, read by Redis and once by a worker.

    counts      accounts, blockhashes, transactions (2 bytes each, big-endian)
    accounts    the keys that the transactions name themselves, each once, 32 bytes each
    blockhashes that they name, each once, 32 bytes each
    hashes      of their messages, 32 bytes each
    raws        the transactions, each behind its length (2 bytes)

The last two are what the journal keeps. A batch is known by 16 random bytes: the number of a lost batch could be given
out again while a worker still holds the old one.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from banking.ledger.journal_format import unpack_transactions
from banking.transaction import AcceptedTransaction, SignedTransaction, accepted

ID_BYTES = 16
_COUNTS = struct.Struct(">HHH")
_KEY_BYTES = 32


def new_batch_id() -> bytes:
    """A name that no other batch ever has."""
    return secrets.token_bytes(ID_BYTES)


def pack_batch(transactions: Sequence[SignedTransaction]) -> bytes:
    """The record of `transactions`, which were verified."""
    accounts: dict[bytes, None] = {}
    blockhashes: dict[bytes, None] = {}
    for transaction in transactions:
        raw = transaction.raw
        end = transaction.blockhash_at
        # Account keys stand before the blockhash, behind their count, which takes one byte.
        count = len(transaction.parsed.message.account_keys)
        for at in range(end - _KEY_BYTES * count, end, _KEY_BYTES):
            accounts[raw[at : at + _KEY_BYTES]] = None
        blockhashes[transaction.blockhash] = None
    hashes = [transaction.message_hash for transaction in transactions]
    return join_batch(accounts, blockhashes, hashes, [transaction.raw for transaction in transactions])


def join_batch(
    accounts: Collection[bytes], blockhashes: Collection[bytes], hashes: Sequence[bytes], raws: Sequence[bytes]
) -> bytes:
    """The record of a batch of these parts."""
    counts = _COUNTS.pack(len(accounts), len(blockhashes), len(hashes))
    framed = [part for raw in raws for part in (len(raw).to_bytes(2, "big"), raw)]
    return b"".join((counts, *accounts, *blockhashes, *hashes, *framed))


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A batch as a worker reads it: `accounts` and `blockhashes` are what its transactions name."""

    id: bytes
    accounts: list[bytes]
    blockhashes: list[bytes]
    transactions: list[AcceptedTransaction]


def unpack_batch(id: bytes, record: bytes) -> BatchRecord:
    """The batch `id`. Its signatures were verified before it was written."""
    counts = _COUNTS.unpack_from(record)
    ends = [_COUNTS.size]
    for count in counts:
        ends.append(ends[-1] + _KEY_BYTES * count)
    accounts, blockhashes, hashes = (
        [record[at : at + _KEY_BYTES] for at in range(first, last, _KEY_BYTES)] for first, last in pairwise(ends)
    )
    raws = unpack_transactions(record[ends[-1] :])
    return BatchRecord(id, accounts, blockhashes, list(map(accepted, raws, hashes)))
