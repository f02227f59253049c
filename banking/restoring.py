"""Restoring a ledger from its archive under a new epoch (D8)."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Sequence
from typing import Any, cast

from banking.blocks import BlockHeader, encode_entries
from banking.blockstore import BlockStore
from banking.errors import BadBlock, Diverged, LeaseLost, RestoreFailed
from banking.keys import EpochKeys
from banking.ledger import Ledger
from banking.loading import EpochLoader, check_totals
from banking.snapshot import Fold, fold_blocks
from config.clock import SYSTEM_CLOCK, Clock
from recovery import crash_points
from recovery.archive import NotFound
from recovery.checkpoints.components import ComponentLayer
from recovery.checkpoints.errors import RestoreRefused

logger = logging.getLogger(__name__)

LEASE_SECONDS = 10.0


class LedgerRestore:
    """One attempt at restoring: the second half of the ledger as a component of the recovery manager.

    `restore_parts` loads beside the live keys, `activate_restored` switches in one step. Whoever loses the lease, or
    dies anywhere, has changed nothing that is served: the next one starts under a number of its own.
    """

    def __init__(
        self, ledger: Ledger, blocks: BlockStore, epoch: int, token: str, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._ledger = ledger
        self._blocks = blocks
        self._clock = clock
        self._token = token
        self.epoch = epoch
        self._keys: EpochKeys = ledger.keys.epoch(epoch)
        self._fold: Fold | None = None
        self._loader: EpochLoader | None = None

    @classmethod
    def begin(cls, ledger: Ledger, blocks: BlockStore) -> LedgerRestore | None:
        """Take the lease and fence the ledger; None when another process is restoring it.

        Raises LedgerUnavailable, ArchiveReadError, BadBlock.
        """
        newest = blocks.newest()
        if newest is None:
            raise BadBlock("the archive holds no block of this ledger")
        token = secrets.token_hex(16)
        epoch = ledger.run(
            "fence",
            [ledger.keys.meta, ledger.keys.restorer, ledger.keys.epochs],
            [token, int(LEASE_SECONDS * 1000), blocks.header(newest).epoch],
        )
        ledger.forget_epoch()
        return cls(ledger, blocks, int(epoch), token) if epoch else None

    def restore_parts(self, layers: Sequence[ComponentLayer]) -> None:
        """Load `layers` (none: the genesis block) and replay every later block into the new epoch's keys.

        Raises RestoreRefused when the checkpoint does not belong to the chain, BadBlock, LeaseLost.
        """
        self.discard_restored()
        slot, parent, head_hash = self._starting_point(layers)
        self._fold = fold_blocks(self._blocks, slot, parent)
        header = self._fold.head or self._base_header(layers, head_hash)
        self._fold.head, self._fold.head_hash = header, header.hash()
        crash_points.reach("restore.loading")
        loader = EpochLoader(self._ledger, self._keys, self._progress)
        loader.load(layers, self._fold, header.slot)
        check_totals(loader, header.supply, header.burned)
        self._loader = loader
        crash_points.reach("restore.loaded")

    def activate_restored(self) -> None:
        """Open the new epoch with a block of its own, then serve it. Raises LeaseLost, RestoreFailed."""
        fold, loader = self._fold, self._loader
        if fold is None or fold.head is None or loader is None:
            raise RestoreFailed("nothing was loaded")
        opening = self._open_epoch(fold.head)
        crash_points.reach("restore.opened")
        self._forget_resolved()
        self._switch(opening, loader)
        crash_points.reach("restore.switched")
        logger.warning(
            "Ledger %s restored up to slot %d: %d accounts, epoch %d",
            self._ledger.keys.name,
            opening.slot,
            loader.accounts,
            self.epoch,
        )

    def discard_restored(self) -> None:
        """Drop what was loaded."""
        self._ledger.call(lambda: self._ledger.client.unlink(*self._keys.all()))
        self._fold = self._loader = None

    def give_up(self) -> None:
        """Let the next one try."""
        self._ledger.run("renew", [self._ledger.keys.restorer], [self._token, 0])

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

    def _progress(self, accounts: int) -> None:
        kept = self._ledger.run("renew", [self._ledger.keys.restorer], [self._token, int(LEASE_SECONDS * 1000)])
        if not kept:
            raise LeaseLost("another process took the restore over")
        keys = self._ledger.keys
        facts: dict[Any, Any] = {"accounts": accounts, "epoch": self.epoch, "at": int(self._clock.time() * 1000)}

        def tell() -> None:
            pipe = self._ledger.client.pipeline(transaction=True)
            pipe.hset(keys.progress, mapping=facts)
            pipe.expire(keys.progress, int(LEASE_SECONDS))
            pipe.execute()

        self._ledger.call(tell)

    def _open_epoch(self, head: BlockHeader) -> BlockHeader:
        """Put the empty block that opens the epoch: from then on no late sealer of an older one can go on (I8)."""
        body = encode_entries([])
        header = BlockHeader(
            ledger_id=head.ledger_id,
            supply=head.supply,
            epoch=self.epoch,
            slot=head.slot + 1,
            parent=head.hash(),
            first_seq=head.last_seq + 1,
            last_seq=head.last_seq,
            time_ms=int(self._clock.time() * 1000),
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
            raise LeaseLost(f"the archive grew meanwhile, starting over: {error}") from error
        return header

    def _forget_resolved(self) -> None:
        """Take out of intake what the restored history has an outcome for."""
        client, keys = self._ledger.client, self._ledger.keys
        waiting = self._ledger.call(lambda: cast("list[bytes]", client.hkeys(keys.intake)))
        for first in range(0, len(waiting), 1_000):
            some = waiting[first : first + 1_000]
            values = self._ledger.call(lambda names=some: client.hmget(self._keys.status, names))
            resolved = [name for name, value in zip(some, values, strict=True) if value is not None]
            if resolved:
                self._drop_from_intake(resolved)

    def _drop_from_intake(self, signatures: Sequence[bytes]) -> None:
        keys = self._ledger.keys

        def drop() -> None:
            pipe = self._ledger.client.pipeline(transaction=True)
            pipe.hdel(keys.intake, *signatures)
            pipe.zrem(keys.queued, *signatures)
            pipe.zrem(keys.parked, *signatures)
            pipe.execute()

        self._ledger.call(drop)

    def _switch(self, opening: BlockHeader, loader: EpochLoader) -> None:
        keys = self._ledger.keys
        recent: dict[Any, Any] = {opening.hash(): opening.slot + 1}
        self._ledger.call(lambda: self._ledger.client.hset(self._keys.blockhashes, mapping=recent))
        answer = self._ledger.run(
            "switch",
            [
                keys.meta,
                keys.restorer,
                self._keys.state,
                self._keys.accounts,
                self._keys.versions,
                keys.intake,
                keys.dead,
            ],
            [self._token, self.epoch, opening.ledger_id, opening.supply, loader.accounts, *_state_fields(opening)],
        )
        self._ledger.forget_epoch()
        if answer == 0:
            raise LeaseLost("another process took the restore over")
        if answer < 0:
            raise RestoreFailed("Redis lost part of the restored state before it was served")


def _state_fields(opening: BlockHeader) -> list[str | bytes | int]:
    return [
        "slot",
        opening.slot + 1,
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
