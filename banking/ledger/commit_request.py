"""What the commit script is given: one entry for each transaction, packed into columns.

The numbers are those of the script's arguments. Integers are big-endian; an index has 2 bytes and counts from 1.

     9  account keys, 32 bytes each          10  the version read of each, behind a byte with its length (0 = absent);
                                                of a plain account "=" and what is stored
    11  blockhashes, 32 bytes each
    12  signatures, 64 bytes each            13  message hashes, 32 bytes each
    14  heads, 11 bytes each: flags (1 succeeded, 2 bound to the slot, 4 a refusal without a fee, 8 paid for), index of
        the blockhash (0 = an expiry on record, 65535 = valid by its nonce: not checked), counts of reads and of writes
        (2 bytes each), length of the detail (4 bytes)
    15  reads: index of an account, of each transaction as many as its head says        16  writes, likewise
    17  burned lamports, decimal, a space behind each                                   18  their sum
    19  how many succeeded
    20  "1" if every one is paid for and names a blockhash or nonce                      21  "1" if any is bound
    22  outcomes as the journal keeps them (`banking.ledger.journal_format`)
    23  id of the batch whose transactions these are, all of them and in its order: 12 and 13 are empty then, and the
        raw transactions are missing, for intake has them; "" when they are given
    24  the turn that is handed on with this commit; "" = none (`banking.ledger.turns`)

Behind them come the results (packed; of a refusal without a fee the error alone), the raw transactions, and the records
that were written ("" = the account is gone, 8 bytes = it is plain: `banking.ledger.stored_account`) in the order of 16.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import msgspec

from banking.ledger.journal_format import pack_outcome
from banking.ledger.stored_account import shortened
from recovery.scripts import Argument


class CommitRequest(msgspec.Struct, frozen=True):
    """One transaction for the commit script; see `lua/commit.lua` for the fields."""

    signature: bytes
    message_hash: bytes
    blockhash: bytes | None
    reads: Sequence[bytes]
    burned: int
    ok: bool
    result: bytes
    raw: bytes
    writes: Mapping[bytes, bytes]
    detail: bytes = b""
    #: Whether the execution could see its slot, and so is good for that slot only.
    bound: bool = False
    #: Refused without a fee: `result` is the error alone, and nothing of it enters the ledger.
    refused: bool = False
    #: Valid by its durable nonce, an account among `reads`, and not by a recent blockhash.
    nonce: bool = False


#: Flags of a transaction's head.
_OK, _BOUND, _REFUSED, _PAID = 1, 2, 4, 8
_HEAD = struct.Struct(">BHHHI")
_INDEX = struct.Struct(">H")
#: Instead of the index of a blockhash: the transaction is valid by its nonce.
_BY_NONCE = 0xFFFF


def commit_arguments(
    entries: Sequence[CommitRequest], versions: Mapping[bytes, bytes], batch: bytes = b"", turn: bytes = b""
) -> list[Argument]:
    """The arguments behind the fixed ones; see `lua/commit.lua`. What intake holds of `batch` is not sent."""
    index: dict[bytes, int] = {}
    hashes: dict[bytes, int] = {}
    reads: list[int] = []
    writes: list[int] = []
    records: list[Argument] = []
    heads = []
    for entry in entries:
        for key in entry.reads:
            reads.append(index.setdefault(key, len(index) + 1))
        for key, record in entry.writes.items():
            writes.append(index[key])
            records.append(shortened(record))
        blockhash = _BY_NONCE if entry.nonce else 0
        if entry.blockhash is not None:
            blockhash = hashes.setdefault(entry.blockhash, len(hashes) + 1)
        flags = _OK * entry.ok | _BOUND * entry.bound | _REFUSED * entry.refused | _PAID * (entry.burned > 0)
        heads.append(_HEAD.pack(flags, blockhash, len(entry.reads), len(entry.writes), len(entry.detail)))
    plain = all(entry.burned and (entry.nonce or entry.blockhash is not None) for entry in entries)
    return [
        b"".join(index),
        b"".join(_with_length(versions.get(key, b"")) for key in index),
        b"".join(hashes),
        b"" if batch else b"".join([entry.signature for entry in entries]),
        b"" if batch else b"".join([entry.message_hash for entry in entries]),
        b"".join(heads),
        struct.pack(f">{len(reads)}H", *reads),
        struct.pack(f">{len(writes)}H", *writes),
        "".join([f"{entry.burned} " for entry in entries]),
        sum(entry.burned for entry in entries),
        sum(entry.ok for entry in entries),
        int(plain),
        int(any(entry.bound for entry in entries)),
        b"".join([_outcome(entry) for entry in entries]),
        batch,
        turn,
        *[entry.result for entry in entries],
        *([] if batch else [entry.raw for entry in entries]),
        *records,
    ]


def _outcome(entry: CommitRequest) -> bytes:
    return pack_outcome(entry.result, entry.burned, entry.detail, b"".join(entry.writes))


def _with_length(version: bytes) -> bytes:
    return bytes((len(version),)) + version
