"""Older history, read from the archive behind the back of a server that answers already."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from solders.transaction import VersionedTransaction

from banking.blocks.block import Block
from banking.errors import LedgerUnavailable
from banking.ledger.journal import JournalEntry
from rpc.index.history import History

logger = logging.getLogger(__name__)

#: Blocks read in one go in the thread.
_PAGE = 32
_AFTER_FAILURE_SECONDS = 5.0

Read = Callable[[int], "Block | None"]


class Backfill:
    """Adds what the blocks hold, newest first, until the history is full or `slots` back are done.

    `read` is called in a thread.
    """

    def __init__(self, read: Read, history: History, *, slots: int) -> None:
        self._read = read
        self._history = history
        self._slots = slots

    async def run(self, slot: int, before_seq: int) -> None:
        """Go back from `slot`, of which only entries with a number below `before_seq` are new."""
        last = max(0, slot - self._slots)
        while slot >= last and not self._history.full:
            first = max(last, slot - _PAGE + 1)
            try:
                page = await asyncio.to_thread(self._page, slot, first)
            except LedgerUnavailable as error:
                logger.warning("Cannot read older history: %s", error)
                await asyncio.sleep(_AFTER_FAILURE_SECONDS)
                continue
            for entry, parsed in page:
                if entry.seq < before_seq:
                    self._history.add_older(entry, parsed)
            slot = first - 1
        logger.info("The history by address goes back to slot %s", self._history.first_slot)

    def _page(self, slot: int, first: int) -> list[tuple[JournalEntry, VersionedTransaction]]:
        entries = []
        for number in range(slot, first - 1, -1):
            block = self._read(number)
            # Pruned, damaged or lost: what lies behind it may still be there.
            for entry in reversed(block.entries) if block is not None else ():
                if entry.raw:
                    entries.append((entry, VersionedTransaction.from_bytes(entry.raw)))
        return entries
