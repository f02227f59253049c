"""Sealing: close a slot, write its block, make it final. Any number of sealers, killed or paused anywhere."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass

from banking.blocks.block import BlockHeader, encode_body
from banking.blocks.store import BlockStore
from banking.errors import ArchiveBehind, BlockTooLarge, JournalGap
from banking.ledger.journal import read_images, read_journal, written_by
from banking.ledger.ledger import BLOCKHASH_HISTORY, Ledger
from banking.ledger.maintenance import set_closing_bytes
from banking.ledger.scripts import CLOSE, FINALIZE, PRUNE
from banking.ledger.slot_context import SLOT_HASHES
from recovery import crash_points

CRASH_POINTS = ("seal.closed", "seal.archived", "seal.finalized", "seal.pruning")
logger = logging.getLogger(__name__)

#: Commits dropped in one script call, some milliseconds, and in one `prune`.
_PRUNE_COMMITS = 8
_PRUNE_MOST = 2_000


@dataclass(frozen=True, slots=True)
class Sealed:
    """A block that is in the archive: its slot and hash, how many outcomes it holds, when its slot was closed (ms)."""

    slot: int
    hash: bytes
    entries: int
    closed_ms: int


class Sealer:
    """Seals the slots of one ledger into `blocks`.

    What makes it safe is the archive, not a lock: of all who try to write a slot's block one succeeds, and a retry
    builds the same bytes, because everything that goes into a block was fixed when its slot was closed.
    """

    def __init__(self, ledger: Ledger, blocks: BlockStore) -> None:
        self._ledger = ledger
        self._blocks = blocks

    def seal(self, *, interval: float = 0.0) -> Sealed | None:
        """Seal the open slot if it is at least `interval` seconds old, or finish what another sealer began.

        Raises ArchiveUnavailable, ArchiveBehind (nothing became final; try again), Diverged, JournalGap and
        BlockTooLarge (the ledger must be restored), LedgerUnavailable, StaleEpoch.
        """
        epoch = self._ledger.epoch
        closed = self._ledger.run(CLOSE, [epoch, int(interval * 1000)])
        if closed is None:
            return None
        crash_points.reach("seal.closed")
        slot, first_seq, last_seq = int(closed[0]), int(closed[1]), int(closed[2])
        entries = list(read_journal(self._ledger, slot=slot))
        if [entry.seq for entry in entries] != list(range(first_seq, last_seq + 1)):
            if self._ledger.state().finalized >= slot:
                # Another sealer finished this slot, and it was pruned, while this one slept.
                return None
            raise JournalGap(f"the journal of slot {slot} lacks entries: {len(entries)} of {first_seq}-{last_seq}")
        written = written_by(entries)
        images = read_images(self._ledger, slot, written)
        if self._ledger.state().finalized >= slot:
            # Another sealer finished it, and what was read may be of the slot after the next.
            return None
        if len(images) != len(written):
            raise JournalGap(f"slot {slot} lacks the records of {len(written) - len(images)} accounts it wrote")
        if not self._blocks.exists(slot - 1):
            raise ArchiveBehind(f"the archive lacks the block of slot {slot - 1}; put the right archive back")
        try:
            body = encode_body(entries, images)
            header = _header(closed, epoch, body)
            self._blocks.put(header, body)
        except BlockTooLarge as error:
            self._note_too_large(slot, error)
            raise
        crash_points.reach("seal.archived")
        self._ledger.run(FINALIZE, [epoch, slot, header.hash(), SLOT_HASHES], epoch=epoch)
        crash_points.reach("seal.finalized")
        return Sealed(slot, header.hash(), len(entries), header.time_ms)

    def _note_too_large(self, slot: int, error: BlockTooLarge) -> None:
        """Let `consistency` see it, whatever the slot's count of its bytes says."""
        logger.critical("Closed slot %d cannot be archived: %s", slot, error)
        if self._ledger.state().finalized < slot:
            set_closing_bytes(self._ledger, error.bytes)

    def prune(self) -> int:
        """Drop from Redis what is final and older than 300 slots; returns how many commits were dropped.

        When there is very much, some stays for the next time.
        """
        bound = self._ledger.state().finalized - BLOCKHASH_HISTORY
        pruned = 0
        while bound >= 0 and pruned < _PRUNE_MOST:
            crash_points.reach("seal.pruning")
            dropped = self._ledger.run(PRUNE, [self._ledger.epoch, bound, _PRUNE_COMMITS])
            pruned += dropped
            if dropped < _PRUNE_COMMITS:
                break
        return pruned


def _header(closed: list[bytes], epoch: int, body: bytes) -> BlockHeader:
    slot, first_seq, last_seq, time_ms, parent, processed, failed, burned, supply, ledger_id = closed
    return BlockHeader(
        ledger_id=ledger_id.decode(),
        supply=int(supply),
        epoch=epoch,
        slot=int(slot),
        parent=parent,
        first_seq=int(first_seq),
        last_seq=int(last_seq),
        time_ms=int(time_ms),
        processed=int(processed),
        failed=int(failed),
        burned=int(burned),
        body_bytes=len(body),
        body_sha256=hashlib.sha256(body).digest(),
    )
