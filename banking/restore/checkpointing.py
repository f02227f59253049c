"""Checkpoints of the ledger, folded from blocks: no pause, and no load on Redis (D7)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence

from banking.blocks.store import BlockStore, ledger_folder
from banking.errors import BadBlock
from banking.restore.block_hashes import fill_hashes
from banking.restore.snapshot import (
    ACCOUNTS,
    BLOCKHASHES,
    STATUSES,
    AccountRow,
    Fold,
    account_rows,
    blockhash_rows,
    fold_blocks,
    is_recent,
    merge_accounts,
    pack_rows,
    status_rows,
)
from recovery.checkpoints import BadCheckpoint, CheckpointStore, Manifest, Part
from recovery.checkpoints.components import ComponentLayer
from recovery.clock import SYSTEM_CLOCK, Clock

logger = logging.getLogger(__name__)

COMPONENT = "ledger"


class LedgerSnapshot:
    """The ledger's half of one checkpoint: the state as of the newest block, or of `slot`.

    An incremental one holds what changed since its base; a full one is the newest usable checkpoint with all later
    blocks folded in, read and written as streams.
    """

    def __init__(self, blocks: BlockStore, store: CheckpointStore, *, slot: int | None = None) -> None:
        self._blocks = blocks
        self._store = store
        newest = slot if slot is not None else blocks.newest()
        if newest is None:
            raise BadBlock("the archive holds no block of this ledger")
        self.slot = newest
        self._header = blocks.header(newest)
        self._accounts = 0

    def facts(self) -> Mapping[str, int | str]:
        """What the manifest says of the ledger; lamports add up to the supply less what was burned (I1)."""
        header = self._header
        return {
            "ledger_id": header.ledger_id,
            "epoch": header.epoch,
            "slot": header.slot,
            "seq": header.last_seq,
            "block_hash": header.hash().hex(),
            "supply": header.supply,
            "burned": header.burned,
            "lamports": header.supply - header.burned,
            "processed": header.processed,
            "failed": header.failed,
            "account_rows": self._accounts,
        }

    def parts(self, base: Manifest | None, below: Sequence[ComponentLayer]) -> Iterable[Part]:
        """The parts; `base` is what an incremental one builds on, `below` the chain that a full one starts from."""
        start = base or (below[-1].manifest if below else None)
        fold = self._fold_since(start)
        if base is not None:
            rows: Iterable[AccountRow] = (AccountRow(key, *fold.accounts[key]) for key in sorted(fold.accounts))
        else:
            rows = merge_accounts(_full_accounts(below), {**_changes(below), **fold.accounts})
            _carry_over(below, fold, self.slot)
            fill_hashes(self._blocks, (), fold, self.slot)
        yield Part(ACCOUNTS, pack_rows(self._counted(rows)))
        yield Part(STATUSES, pack_rows(fold.recent_statuses(self.slot)))
        yield Part(BLOCKHASHES, pack_rows(fold.recent_blockhashes(self.slot)))

    def _fold_since(self, start: Manifest | None) -> Fold:
        if start is None:
            return fold_blocks(self._blocks, 0, None, until=self.slot)
        parent = bytes.fromhex(str(start.facts["block_hash"]))
        return fold_blocks(self._blocks, int(start.facts["slot"]) + 1, parent, until=self.slot)

    def _counted(self, rows: Iterable[AccountRow]) -> Iterator[AccountRow]:
        for row in rows:
            self._accounts += 1
            yield row


def _full_accounts(below: Sequence[ComponentLayer]) -> Iterator[tuple[bytes, int, bytes]]:
    if below:
        for batch in below[0].read(ACCOUNTS):
            yield from account_rows(batch)


def _changes(below: Sequence[ComponentLayer]) -> dict[bytes, tuple[int, bytes]]:
    """What the incrementals of a chain changed, the newest on top."""
    changes: dict[bytes, tuple[int, bytes]] = {}
    for layer in below[1:]:
        for batch in layer.read(ACCOUNTS):
            changes.update((key, (version, record)) for key, version, record in account_rows(batch))
    return changes


def _carry_over(below: Sequence[ComponentLayer], fold: Fold, slot: int) -> None:
    """Bring the still recent statuses and blockhashes of a chain into `fold`, which is newer."""
    for layer in below:
        for batch in layer.read(STATUSES):
            for signature, value, message in status_rows(batch):
                if is_recent(value, slot):
                    fold.statuses.setdefault(signature, (value, message))
        for batch in layer.read(BLOCKHASHES):
            for blockhash, since in blockhash_rows(batch):
                fold.blockhashes.setdefault(blockhash, since)


def checkpoint_store(blocks: BlockStore, *, clock: Clock = SYSTEM_CLOCK) -> CheckpointStore:
    """The checkpoints beside the blocks of a ledger, believed by the same keys."""
    return CheckpointStore(
        blocks.archive,
        blocks.identity,
        folder=f"{ledger_folder(blocks.ledger)}/checkpoints",
        trusted_keys=blocks.trusted_keys,
        clock=clock,
    )


def newest_chain(store: CheckpointStore, skip: set[str]) -> Sequence[ComponentLayer]:
    """The layers of the newest checkpoint whose manifests are good and that is not in `skip`; empty without one."""
    for checkpoint_id in reversed(store.ids()):
        if checkpoint_id in skip:
            continue
        try:
            return [ComponentLayer(layer, COMPONENT) for layer in store.layers(checkpoint_id)]
        except BadCheckpoint as error:
            logger.warning("Checkpoint %s cannot be built upon: %s", checkpoint_id, error)
    return ()
