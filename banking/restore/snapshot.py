"""What a checkpoint holds of a ledger, and the folding of blocks into it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, TypeVar

import msgspec

from banking.blocks.block import Block, BlockHeader
from banking.blocks.store import BlockStore
from banking.ledger.ledger import BLOCKHASH_HISTORY
from banking.ledger.slot_context import SLOT_HASHES
from banking.transaction import message_hash
from recovery.checkpoints import BadCheckpoint, Batch

ACCOUNTS, STATUSES, BLOCKHASHES = "accounts", "statuses", "blockhashes"
_ROWS = 2_000
Row = TypeVar("Row")


class AccountRow(NamedTuple):
    """One account; in an incremental checkpoint an empty record says that it is gone."""

    key: bytes
    version: int
    record: bytes


class StatusRow(NamedTuple):
    """One outcome of the last 300 slots; `message_hash` is b"" when the transaction was not included."""

    signature: bytes
    value: bytes
    message_hash: bytes


class BlockhashRow(NamedTuple):
    """A recent blockhash and the slot since which it is."""

    blockhash: bytes
    slot: int


_account_decoder = msgspec.msgpack.Decoder(list[tuple[bytes, int, bytes]])
_status_decoder = msgspec.msgpack.Decoder(list[tuple[bytes, bytes, bytes]])
_blockhash_decoder = msgspec.msgpack.Decoder(list[tuple[bytes, int]])


def pack_rows(rows: Iterable[tuple[object, ...]]) -> Iterator[Batch]:
    """Batches of 2,000 rows in msgpack."""
    source = iter(rows)
    while rows := list(islice(source, _ROWS)):
        yield Batch(msgspec.msgpack.encode(rows), len(rows))


def account_rows(batch: Batch) -> list[tuple[bytes, int, bytes]]:
    """Rows of the accounts part. Raises BadCheckpoint."""
    return _unpack(_account_decoder, batch)


def status_rows(batch: Batch) -> list[tuple[bytes, bytes, bytes]]:
    """Rows of the statuses part. Raises BadCheckpoint."""
    return _unpack(_status_decoder, batch)


def blockhash_rows(batch: Batch) -> list[tuple[bytes, int]]:
    """Rows of the blockhashes part. Raises BadCheckpoint."""
    return _unpack(_blockhash_decoder, batch)


def _unpack(decoder: msgspec.msgpack.Decoder[list[Row]], batch: Batch) -> list[Row]:
    try:
        return decoder.decode(batch.data)
    except msgspec.MsgspecError as error:
        raise BadCheckpoint(f"a batch of rows cannot be read: {error}") from error


@dataclass(slots=True)
class Fold:
    """What rows blocks changed: the newest record of each account they wrote, and the last 300 slots' outcomes."""

    accounts: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    statuses: dict[bytes, tuple[bytes, bytes]] = field(default_factory=dict)
    blockhashes: dict[bytes, int] = field(default_factory=dict)
    head: BlockHeader | None = None
    head_hash: bytes = b""

    def add(self, block: Block) -> None:
        """Fold the next block in."""
        last = {key: entry.seq for entry in block.entries for key in entry.keys}
        for key, record in block.images.items():
            self.accounts[key] = (last[key], record)
        for entry in block.entries:
            if entry.raw:
                message = message_hash(entry.raw) if entry.included else b""
                self.statuses[entry.signature] = (entry.value, message)
        # A block's hash becomes recent in the slot behind it.
        self.blockhashes[block.hash] = block.header.slot + 1
        self.head, self.head_hash = block.header, block.hash

    def recent_statuses(self, head_slot: int) -> Iterator[StatusRow]:
        """Outcomes that may still be asked for, or that may still come again, at `head_slot`."""
        for signature, (value, message) in self.statuses.items():
            if is_recent(value, head_slot):
                yield StatusRow(signature, value, message)

    def recent_blockhashes(self, head_slot: int) -> Iterator[BlockhashRow]:
        for blockhash, slot in self.blockhashes.items():
            if head_slot + 1 - slot <= SLOT_HASHES:
                yield BlockhashRow(blockhash, slot)


def fold_blocks(
    blocks: BlockStore,
    slot: int,
    parent: bytes | None,
    *,
    until: int | None = None,
    visit: Callable[[Block], None] = lambda _: None,
) -> Fold:
    """Fold the blocks from `slot` on; `visit` sees each. Raises BadBlock for the first that is bad or missing."""
    fold = Fold()
    for block in blocks.follow(slot, parent, until=until):
        fold.add(block)
        visit(block)
    return fold


def is_recent(value: bytes, head_slot: int) -> bool:
    """Whether a status value belongs to the last 300 slots."""
    return int(value.partition(b":")[0]) > head_slot - BLOCKHASH_HISTORY


def merge_accounts(
    base: Iterable[tuple[bytes, int, bytes]], changes: Mapping[bytes, tuple[int, bytes]]
) -> Iterator[AccountRow]:
    """`base` (ascending keys) with `changes` on top, ascending, without the accounts that are gone."""
    changed = ((key, *changes[key]) for key in sorted(changes))
    kept = (row for row in base if row[0] not in changes)
    for key, version, record in heapq.merge(kept, changed, key=lambda row: row[0]):
        if record:
            yield AccountRow(key, version, record)
