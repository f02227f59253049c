"""The hashes of the newest 512 blocks, which make SlotHashes, complete after a restore from whatever was kept."""

from __future__ import annotations

import logging
from collections.abc import Sequence

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
    lost = 0
    for slot in range(max(0, head_slot - SLOT_HASHES), head_slot + 1):
        if slot + 1 in known:
            continue
        try:
            fold.blockhashes[blocks.header(slot).hash()] = slot + 1
        except NotFound:
            lost += 1
    if lost:
        logger.warning(
            "The hashes of %d old blocks are in no checkpoint and no block any more; SlotHashes lacks them", lost
        )
