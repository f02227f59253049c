"""The archive's blocks as the RPC server reads them: verified, and the ones read last kept in memory."""

from __future__ import annotations

import logging
from collections import OrderedDict
from threading import Lock

from banking.blocks.block import Block
from banking.blocks.store import BlockStore
from banking.errors import BadBlock, LedgerUnavailable
from recovery.archive import ArchiveError, NotFound
from recovery.clock import SYSTEM_CLOCK, Clock

logger = logging.getLogger(__name__)

#: Blocks that are kept in memory.
_CACHED_BLOCKS = 64
#: Uncompressed; a block has at most 120 MiB.
_CACHED_BYTES = 256 * 1024 * 1024
#: Seconds that the oldest slot is not looked up again.
_FIRST_SLOT_AGE = 10.0


class ArchivedBlocks:
    """Blocks of the archive, the ones read last kept in memory. For use from several threads."""

    def __init__(self, store: BlockStore, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._store = store
        self._clock = clock
        self._lock = Lock()
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        self._bytes = 0
        self._first: tuple[float, int | None] = (float("-inf"), None)

    def read(self, slot: int) -> Block | None:
        """The verified block, None when there is none (any more). A damaged one is not served."""
        with self._lock:
            if (cached := self._blocks.get(slot)) is not None:
                self._blocks.move_to_end(slot)
                return cached
        try:
            block = self._store.read(slot)
        except NotFound:
            return None
        except BadBlock as error:
            logger.warning("Not served: %s", error)
            return None
        except ArchiveError as error:
            raise LedgerUnavailable(f"The archive does not answer: {error}") from error
        with self._lock:
            if slot not in self._blocks:
                self._bytes += block.header.body_bytes
            self._blocks[slot] = block
            while len(self._blocks) > _CACHED_BLOCKS or (self._bytes > _CACHED_BYTES and len(self._blocks) > 1):
                _, dropped = self._blocks.popitem(last=False)
                self._bytes -= dropped.header.body_bytes
        return block

    def first_slot(self) -> int | None:
        """The oldest slot with a block, at most ten seconds old."""
        looked_at, first = self._first
        now = self._clock.monotonic()
        if now - looked_at > _FIRST_SLOT_AGE:
            try:
                first = next(iter(self._store.slots()), None)
            except ArchiveError as error:
                raise LedgerUnavailable(f"The archive does not answer: {error}") from error
            self._first = (now, first)
        return first
