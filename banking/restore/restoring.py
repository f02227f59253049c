"""Restoring a ledger from its archive under a new epoch (D8)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence

from banking.blocks.block import Block, BlockHeader, encode_body
from banking.blocks.store import BlockStore
from banking.errors import BadBlock, Diverged, LeaseLost, LedgerUnavailable, RestoreFailed, RestoreInterrupted
from banking.ledger.layout import LAYOUT
from banking.ledger.ledger import BLOCKHASH_HISTORY, Ledger
from banking.ledger.maintenance import fenced_slot, unresolved_signatures
from banking.ledger.scripts import FORGET, SWITCH
from banking.ledger.staging import drop_staged, staged_outcomes
from banking.restore.block_hashes import fill_hashes
from banking.restore.lease import RestoreLease
from banking.restore.loading import EpochLoader, check_totals
from banking.restore.snapshot import ACCOUNTS, Fold, fold_blocks
from recovery import crash_points
from recovery.archive import NotFound
from recovery.checkpoints.components import ComponentLayer
from recovery.checkpoints.errors import RestoreRefused
from recovery.clock import SYSTEM_CLOCK, Clock

logger = logging.getLogger(__name__)

CRASH_POINTS = (
    "restore.fenced",
    "restore.folded",
    "restore.loading",
    "restore.loaded",
    "restore.opened",
    "restore.forgotten",
    "restore.switched",
)


class LedgerRestore:
    """One attempt at restoring: the second half of the ledger as a component of the recovery manager.

    `restore_parts` loads beside the live keys, `activate_restored` switches in one step. Whoever loses the lease, or
    dies anywhere, has changed nothing that is served: the next one starts with keys and a number of its own.
    """

    def __init__(
        self,
        ledger: Ledger,
        blocks: BlockStore,
        lease: RestoreLease,
        *,
        clock: Clock = SYSTEM_CLOCK,
        level: int = logging.WARNING,
    ) -> None:
        self._ledger = ledger
        self._blocks = blocks
        self._clock = clock
        self._lease = lease
        self._level = level
        self.epoch = lease.epoch
        self._fold: Fold | None = None
        self._loader: EpochLoader | None = None

    @classmethod
    def begin(
        cls,
        ledger: Ledger,
        blocks: BlockStore,
        *,
        observed: str = "",
        clock: Clock = SYSTEM_CLOCK,
        level: int = logging.WARNING,
    ) -> LedgerRestore | None:
        """Take the lease and fence the ledger; None when another process is restoring it, or has since `observed`.

        `observed` is the epoch of the report that found the restore necessary (`ConsistencyReport.epoch`); "" = in any
        case, `level` that of the log's line when it is done. Raises LedgerUnavailable, ArchiveReadError, BadBlock.
        """
        newest = blocks.newest()
        if newest is None:
            raise BadBlock("the archive holds no block of this ledger")
        lease = RestoreLease(ledger, clock=clock)
        if lease.take(blocks.header(newest).epoch, observed) <= 0:
            return None
        crash_points.reach("restore.fenced")
        return cls(ledger, blocks, lease, clock=clock, level=level)

    def restore_parts(self, layers: Sequence[ComponentLayer]) -> None:
        """Load `layers` (none: the genesis block) and replay every later block into keys of this attempt.

        Raises RestoreRefused when the checkpoint does not belong to the chain, BadBlock, RestoreInterrupted.
        """
        self.discard_restored()
        slot, parent, head_hash = self._starting_point(layers)
        found = self._blocks.newest()
        newest = slot - 1 if found is None else found
        self._fold = fold_blocks(
            self._blocks, slot, parent, until=newest, visit=lambda block: self._folded(block, slot, newest)
        )
        header = self._fold.head or self._base_header(layers, head_hash)
        if header.epoch >= self.epoch:
            # Another restorer, which did not know of this one (Redis was emptied between the two), opened it.
            raise RestoreInterrupted(f"the archive has epoch {header.epoch} meanwhile, starting over")
        self._fold.head, self._fold.head_hash = header, header.hash()
        fill_hashes(self._blocks, layers, self._fold, header.slot)
        crash_points.reach("restore.folded")
        rows = _account_rows(layers) + len(self._fold.accounts)
        with EpochLoader(
            self._ledger, self._lease.token, self.epoch, lambda done: self._lease.progress("accounts", done, rows)
        ) as loader:
            self._lease.progress("accounts", 0, rows)
            crash_points.reach("restore.loading")
            loader.load(layers, self._fold, header.slot)
        check_totals(loader, header.supply, header.burned)
        self._loader = loader
        crash_points.reach("restore.loaded")

    def activate_restored(self) -> None:
        """Open the new epoch with a block of its own, then serve it. Raises RestoreInterrupted, RestoreFailed."""
        fold, loader = self._fold, self._loader
        if fold is None or fold.head is None or loader is None:
            raise RestoreFailed("nothing was loaded")
        self._lease.renew()
        opening = self._open_epoch(fold.head)
        crash_points.reach("restore.opened")
        self._forget_resolved(opening.slot)
        crash_points.reach("restore.forgotten")
        self._switch(opening, loader)
        crash_points.reach("restore.switched")
        logger.log(
            self._level,
            "Ledger %s restored up to slot %d: %d accounts, epoch %d",
            self._ledger.name,
            opening.slot,
            loader.accounts,
            self.epoch,
        )

    def discard_restored(self) -> None:
        """Drop what was loaded; what cannot be dropped now goes by itself later."""
        self._fold = self._loader = None
        try:
            drop_staged(self._ledger, self._lease.token)
        except LedgerUnavailable as error:
            logger.warning("The partly loaded state stays for the next tidying: %s", error)

    def give_up(self) -> None:
        """Let the next one try; with Redis away the lease runs out by itself."""
        try:
            self._lease.give_up()
        except LedgerUnavailable as error:
            logger.warning("The restore lease runs out by itself: %s", error)

    # ---- steps

    def _starting_point(self, layers: Sequence[ComponentLayer]) -> tuple[int, bytes | None, bytes]:
        if not layers:
            if not self._blocks.exists(0):
                raise RestoreRefused("no checkpoint is usable, and the blocks do not reach back to the genesis")
            return 0, None, b""
        facts = layers[-1].manifest.facts
        slot, head_hash = int(facts["slot"]), bytes.fromhex(str(facts["block_hash"]))
        try:
            if self._blocks.header(slot).hash() != head_hash:
                raise RestoreRefused(f"the checkpoint belongs to another chain: slot {slot} has another block")
        except NotFound:
            raise RestoreRefused(f"the archive lacks the block of the checkpoint's slot {slot}") from None
        return slot + 1, head_hash, head_hash

    def _base_header(self, layers: Sequence[ComponentLayer], head_hash: bytes) -> BlockHeader:
        header = self._blocks.header(int(layers[-1].manifest.facts["slot"]))
        if header.hash() != head_hash:
            raise RestoreRefused("the block of the checkpoint changed while it was read")
        return header

    def _folded(self, block: Block, first: int, newest: int) -> None:
        self._lease.progress("blocks", block.header.slot - first + 1, newest - first + 1)

    def _open_epoch(self, head: BlockHeader) -> BlockHeader:
        """Put the empty block that opens the epoch: from then on no late sealer of an older one can go on (I8)."""
        body = encode_body([], {})
        header = BlockHeader(
            ledger_id=head.ledger_id,
            supply=head.supply,
            epoch=self.epoch,
            slot=head.slot + 1,
            parent=head.hash(),
            first_seq=head.last_seq + 1,
            last_seq=head.last_seq,
            # By Redis' clock like every block's, and never before the block that it follows.
            time_ms=max(self._ledger.server_ms(), head.time_ms),
            processed=head.processed,
            failed=head.failed,
            burned=head.burned,
            body_bytes=len(body),
            body_sha256=hashlib.sha256(body).digest(),
        )
        try:
            self._blocks.put(header, body)
        except Diverged as error:
            # A late sealer, or another restorer, was first. Its block is final, so it belongs to what is restored.
            raise RestoreInterrupted(f"the archive grew meanwhile, starting over: {error}") from error
        return header

    def _forget_resolved(self, slot: int) -> None:
        """Take out of intake, and out of the dead letters, what has its outcome in the restored state."""
        waiting = unresolved_signatures(self._ledger)
        unresolved: set[bytes] = set()
        for first in range(0, len(waiting), 1_000):
            page = waiting[first : first + 1_000]
            values = staged_outcomes(self._ledger, self._lease.token, page)
            self._drop([name for name, value in zip(page, values, strict=True) if value is not None])
            unresolved.update(name for name, value in zip(page, values, strict=True) if value is None)
        self._drop(self._resolved_long_ago(unresolved, slot))

    def _resolved_long_ago(self, signatures: set[bytes], slot: int) -> list[bytes]:
        """Those with an outcome that is too old for the statuses: after a roll-back of more than 300 slots."""
        fenced = fenced_slot(self._ledger)
        if not signatures or fenced is None or fenced >= slot - BLOCKHASH_HISTORY:
            return []
        resolved: list[bytes] = []
        first = fenced + 1
        for block in self._blocks.follow(first, None, until=slot - BLOCKHASH_HISTORY):
            self._folded(block, first, slot)
            resolved += [entry.signature for entry in block.entries if entry.signature in signatures]
        return resolved

    def _drop(self, signatures: Sequence[bytes]) -> None:
        for first in range(0, len(signatures), 1_000):
            page = signatures[first : first + 1_000]
            if not self._ledger.run(FORGET, [self._lease.token, *page]):
                raise LeaseLost("another process took the restore over")

    def _switch(self, opening: BlockHeader, loader: EpochLoader) -> None:
        loader.add_blockhash(opening.hash(), opening.slot + 1)
        answer = self._ledger.run(
            SWITCH,
            [
                self._lease.token,
                self.epoch,
                opening.ledger_id,
                opening.supply,
                LAYOUT,
                *loader.counts(),
                *_state_fields(opening),
            ],
            epoch=self.epoch,
            loaded=self._lease.token,
        )
        self._ledger.forget_epoch()
        if answer == 0:
            raise LeaseLost("another process took the restore over")
        if answer < 0:
            raise RestoreInterrupted("Redis lost part of the restored state before it was served, starting over")


def _account_rows(layers: Sequence[ComponentLayer]) -> int:
    """About how many accounts a chain of checkpoints holds."""
    return sum(part.records for layer in layers for part in layer.manifest.parts if part.name.endswith(f"/{ACCOUNTS}"))


def _state_fields(opening: BlockHeader) -> list[str | bytes | int]:
    return [
        "slot",
        opening.slot + 1,
        "slot_time",
        opening.time_ms,
        "seq",
        opening.last_seq,
        "blockhash",
        opening.hash(),
        "burned",
        opening.burned,
        "processed",
        opening.processed,
        "failed",
        opening.failed,
        "finalized",
        opening.slot,
        "finalized_seq",
        opening.last_seq,
    ]
