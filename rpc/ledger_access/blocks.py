"""Blocks: recent ones from the journal in Redis, older ones from the archive."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from banking.blocks.block import Block
from banking.ledger import reads
from banking.ledger.journal import JournalEntry
from rpc.jsonrpc.errors import block_cleaned_up, block_not_available
from rpc.ledger_access.chain import Chain
from rpc.ledger_access.reader import LedgerReader


@dataclass(frozen=True, slots=True)
class ChainBlock:
    """One finalized block; `time_ms` is None when neither Redis nor the archive has it."""

    slot: int
    parent_hash: bytes
    hash: bytes
    time_ms: int | None
    entries: Sequence[JournalEntry]


class BlockSource(Protocol):
    """The archive's blocks. Called in a thread."""

    def read(self, slot: int) -> Block | None:
        """The block of `slot`, None when there is none (any more)."""

    def first_slot(self) -> int | None:
        """The oldest slot that `read` can answer for."""


class BlockReader:
    """Reads finalized blocks and their entries; without an archive, only those that Redis still holds."""

    def __init__(self, reader: LedgerReader, chain: Chain, archive: BlockSource | None) -> None:
        self._reader = reader
        self._chain = chain
        self._archive = archive

    async def first_available(self) -> int:
        """The oldest slot whose block can be read."""
        if self._archive is not None:
            first = await asyncio.to_thread(self._archive.first_slot)
            if first is not None:
                return first
        kept = reads.blockhashes()
        snapshot = await self._reader.read(kept)
        # A block needs its own hash and its parent's.
        return max(1, min(snapshot.answer(kept).values(), default=1))

    async def read(self, slot: int) -> ChainBlock:
        """The block of a finalized slot. Raises -32004 when it is not finalized yet, -32001 when it is gone."""
        snapshot = await self._reader.read()
        if slot > snapshot.finalized:
            raise block_not_available(slot)
        block = await self._recent(slot)
        if block is None and self._archive is not None:
            archived = await asyncio.to_thread(self._archive.read, slot)
            if archived is not None:
                return ChainBlock(
                    slot, archived.header.parent, archived.hash, archived.header.time_ms, archived.entries
                )
        if block is None:
            raise block_cleaned_up(slot, await self.first_available())
        return block

    async def _recent(self, slot: int) -> ChainBlock | None:
        entries, blockhashes, oldest = reads.slot_entries(slot), reads.blockhashes(), reads.oldest_entry()
        snapshot = await self._reader.read_alone(entries, blockhashes, oldest)
        first = snapshot.answer(oldest)
        if self._archive is not None and (first is None or first.slot >= slot):
            # The journal begins after it, or in the middle of it.
            return None
        closed_ms = self._chain.closed_ms(slot)
        if self._archive is not None and closed_ms is None:
            # Only the archived block has the time when it was closed.
            return None
        by_slot = {since: blockhash for blockhash, since in snapshot.answer(blockhashes).items()}
        own, parent = by_slot.get(slot + 1), by_slot.get(slot)
        if own is None or parent is None:
            return None
        return ChainBlock(slot, parent, own, closed_ms, snapshot.answer(entries))

    async def find_entry(self, slot: int, seq: int) -> JournalEntry | None:
        """One journal entry, from Redis or from the archive."""
        wanted = reads.entry(slot, seq)
        stored = (await self._reader.read(wanted)).answer(wanted)
        if stored is not None or self._archive is None:
            return stored
        block = await asyncio.to_thread(self._archive.read, slot)
        if block is None:
            return None
        return next((entry for entry in block.entries if entry.seq == seq), None)

    async def time_of(self, slot: int) -> int | None:
        """Unix seconds of a slot, None when neither this server nor the archive has them."""
        closed_ms = self._chain.closed_ms(slot)
        if closed_ms is None and self._archive is not None:
            block = await asyncio.to_thread(self._archive.read, slot)
            closed_ms = None if block is None else block.header.time_ms
        return None if closed_ms is None else closed_ms // 1000
