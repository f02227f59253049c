"""The hashes of the newest 512 blocks, which make SlotHashes, complete after a restore from whatever was kept."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import takewhile

from banking.blocks.store import BlockStore
from banking.ledger.slot_context import SLOT_HASHES
from banking.restore.snapshot import BLOCKHASHES, Fold, blockhash_rows
from recovery.archive import NotFound
from recovery.checkpoints.components import ComponentLayer

logger = logging.getLogger(__name__)


def fill_hashes(blocks: BlockStore, layers: Sequence[ComponentLayer], fold: Fold, head_slot: int) -> None:
    """Bring what neither `fold` nor the checkpoints in `layers` have into `fold`, from the headers in the archive.

    Checkpoints of older versions hold 300 hashes. Raises ArchiveReadError, BadBlock, BadCheckpoint.
    """
    known = set(fold.blockhashes.values())
    for layer in layers:
        known.update(since for batch in layer.read(BLOCKHASHES) for _, since in blockhash_rows(batch))
    wanted = [slot for slot in range(max(0, head_slot - SLOT_HASHES), head_slot + 1) if slot + 1 not in known]
    if not wanted:
        return
    there = {*takewhile(lambda slot: slot <= head_slot, blocks.slots(after=wanted[0] - 1))}
    waiting = [slot for slot in wanted if slot in there]
    lost = len(wanted) - len(waiting)
    while waiting:
        done = 0
        try:
            for header in blocks.headers(waiting):
                fold.blockhashes[header.hash()] = header.slot + 1
                done += 1
        except NotFound:  # dropped since the listing
            lost += 1
            done += 1
        waiting = waiting[done:]
    if lost:
        logger.warning(
            "The hashes of %d old blocks are in no checkpoint and no block any more; SlotHashes lacks them", lost
        )
