"""What the commit script is given: one entry for each transaction, packed into its arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from recovery.scripts import Argument


@dataclass(frozen=True, slots=True)
class CommitRequest:
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


def commit_arguments(entries: Sequence[CommitRequest], versions: Mapping[bytes, bytes]) -> list[Argument]:
    """The arguments behind the fixed ones; see `lua/commit.lua`."""
    index: dict[bytes, int] = {}
    hashes: dict[bytes, int] = {}
    body: list[Argument] = []
    for entry in entries:
        for key in entry.reads:
            index.setdefault(key, len(index) + 1)
        blockhash = -1 if entry.nonce else 0
        if entry.blockhash is not None:
            blockhash = hashes.setdefault(entry.blockhash, len(hashes) + 1)
        ok = "r" if entry.refused else int(entry.ok)
        reads = b"".join(index[key].to_bytes(2, "big") for key in entry.reads)
        body += (entry.signature, entry.message_hash, blockhash, int(entry.bound), reads, entry.burned, ok)
        body += (entry.result, entry.raw, entry.detail, len(entry.writes), *_flat(index, entry.writes.items()))
    accounts: list[Argument] = []
    for key in index:
        accounts += (key, versions.get(key, b""))
    return [len(index), *accounts, len(hashes), *hashes, len(entries), *body]


def _flat(index: Mapping[bytes, int], writes: Iterable[tuple[bytes, bytes]]) -> Iterable[Argument]:
    for key, record in writes:
        yield index[key]
        yield record
