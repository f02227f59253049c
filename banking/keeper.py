"""Keeping the ledger and its archive together: check, restore when needed, checkpoint, tidy up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from banking.blockstore import BlockStore, ledger_folder
from banking.checkpointing import COMPONENT, LedgerSnapshot, newest_chain
from banking.consistency import Condition, Finding, compare
from banking.errors import LeaseLost
from banking.intake import MOST_AT_ONCE, Intake
from banking.journal import read_journal
from banking.ledger import Ledger
from banking.restoring import LedgerRestore
from config.clock import SYSTEM_CLOCK, Clock
from recovery.checkpoints import BadCheckpoint, CheckpointStore, Manifest, NoUsableCheckpoint, Part
from recovery.checkpoints.components import Component, ComponentLayer
from recovery.manager import RecoveryManager

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.25
#: How far back `tidy` looks for left-over epochs; each boot looks again.
_OLD_EPOCHS = 100


class LedgerComponent:
    """The ledger as the recovery manager sees it: snapshots come from the archive, restores go into Redis."""

    def __init__(
        self, snapshot: LedgerSnapshot | None, below: Sequence[ComponentLayer], restore: LedgerRestore | None
    ) -> None:
        self._snapshot = snapshot
        self._below = below
        self._restore = restore

    def checkpoint_parts(self, base: Manifest | None) -> Iterable[Part]:
        assert self._snapshot is not None, "made for restoring"
        return self._snapshot.parts(base, self._below)

    def restore_parts(self, layers: Sequence[ComponentLayer]) -> None:
        self._restoring.restore_parts(layers)

    def activate_restored(self) -> None:
        self._restoring.activate_restored()

    def discard_restored(self) -> None:
        self._restoring.discard_restored()

    @property
    def _restoring(self) -> LedgerRestore:
        assert self._restore is not None, "made for a checkpoint"
        return self._restore


class LedgerKeeper:
    """Looks after one ledger. `others` are components that are saved and restored together with it, by name."""

    def __init__(
        self,
        ledger: Ledger,
        blocks: BlockStore,
        *,
        others: dict[str, Component] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.ledger = ledger
        self.blocks = blocks
        self.store = CheckpointStore(
            blocks.archive,
            blocks.identity,
            folder=f"{ledger_folder(ledger.keys.name)}/checkpoints",
            trusted_keys=blocks.trusted_keys,
            clock=clock,
        )
        self._others = others or {}
        self._clock = clock

    # ---- checking and restoring

    def check(self) -> Finding:
        """Compare Redis with the archive; see `banking.consistency`."""
        return compare(self.ledger, self.blocks)

    def ensure(self, keep_waiting: Callable[[Finding], bool] = lambda _: True) -> Finding:
        """Return once the ledger is healthy, restoring it if nobody else does.

        `keep_waiting` is asked, at least every 0.25 s, while somebody else restores or nothing can be done; when it
        says no, the last finding is returned as it is. Raises BadBlock, RestoreFailed, NoUsableCheckpoint,
        LedgerUnavailable, ArchiveUnavailable: then nothing unverified is served, and asking again is safe.
        """
        told = ""
        while True:
            finding = self.check()
            if finding.condition is Condition.HEALTHY:
                self.tidy()
                return finding
            if finding.detail != told:
                logger.warning("Ledger %s is %s: %s", self.ledger.keys.name, finding.condition, finding.detail)
                told = finding.detail
            if finding.needs_restore and self._restore_once():
                continue
            if not keep_waiting(finding):
                return finding
            self._clock.sleep(_POLL_SECONDS)

    def restore_from(self, checkpoint_id: str) -> None:
        """Restore one checkpoint and the blocks behind it. Raises UnknownCheckpoint, BadCheckpoint, LeaseLost."""
        restore = self._begin()
        try:
            self._manager(LedgerComponent(None, (), restore)).restore_system_checkpoint(checkpoint_id)
        finally:
            restore.give_up()
        self.tidy()

    def _begin(self) -> LedgerRestore:
        restore = LedgerRestore.begin(self.ledger, self.blocks)
        if restore is None:
            raise LeaseLost("another process is restoring this ledger")
        return restore

    def _restore_once(self) -> bool:
        """One attempt; False when another process has the lease or took it over."""
        restore = LedgerRestore.begin(self.ledger, self.blocks)
        if restore is None:
            return False
        logger.warning("Restoring ledger %s under epoch %d", self.ledger.keys.name, restore.epoch)
        try:
            self._run_restore(restore)
        except LeaseLost as error:
            logger.warning("The restore was not finished: %s", error)
            return False
        except BaseException:
            restore.discard_restored()
            raise
        finally:
            restore.give_up()
        return True

    def _run_restore(self, restore: LedgerRestore) -> None:
        try:
            restored = self._manager(LedgerComponent(None, (), restore)).auto_recover()
        except NoUsableCheckpoint as error:
            if not self.blocks.exists(0):
                raise
            logger.warning("%s; replaying all blocks from the genesis", error)
            restored = None
        if restored is None:
            restore.restore_parts(())
            restore.activate_restored()

    def _manager(self, component: LedgerComponent) -> RecoveryManager:
        manager = RecoveryManager(self.store, clock=self._clock)
        manager.register_component(COMPONENT, component)
        for name, other in self._others.items():
            manager.register_component(name, other)
        return manager

    # ---- checkpoints

    def create_checkpoint(self, *, full: bool = False) -> Manifest:
        """Checkpoint everything as of the newest block.

        Raises ArchiveUnavailable, BadBlock, CheckpointError. A damaged older checkpoint is passed over.
        """
        damaged: set[str] = set()
        while True:
            below = newest_chain(self.store, damaged)
            try:
                return self._create(below, full=full or bool(damaged))
            except BadCheckpoint as error:
                if not below:
                    raise
                logger.error("Checkpoint %s is damaged: %s", below[-1].manifest.id, error)  # noqa: TRY400
                damaged.add(below[-1].manifest.id)

    def _create(self, below: Sequence[ComponentLayer], *, full: bool) -> Manifest:
        snapshot = LedgerSnapshot(self.blocks, self.store)
        manager = self._manager(LedgerComponent(snapshot, below, None))
        return manager.create_system_checkpoint(
            sequence=snapshot.slot, facts=snapshot.facts, kind="full" if full else "auto"
        )

    def clean_up(self, *, keep: int, history_slots: int) -> int:
        """Keep the newest `keep` checkpoints that verify; drop blocks that neither they nor the history need.

        Returns how many blocks were dropped. Blocks go only below the oldest kept checkpoint, which was read back
        just now.
        """
        oldest = self.store.cleanup(keep).oldest_kept
        if oldest is None:
            return 0
        newest = self.blocks.newest() or 0
        bound = min(int(oldest.facts["slot"]), newest - history_slots)
        dropped = 0
        for slot in self.blocks.slots():
            if slot >= bound:
                break
            self.blocks.delete(slot)
            dropped += 1
        return dropped

    # ---- epochs that are no more

    def tidy(self) -> None:
        """Drop the keys of older epochs; what was processed there and never became final goes back into intake."""
        current = self.ledger.epoch
        highest = int(self.ledger.call(lambda: self.ledger.client.get(self.ledger.keys.epochs)) or current)
        for number in range(max(1, highest - _OLD_EPOCHS), current):
            old = self.ledger.keys.epoch(number)
            if self.ledger.call(lambda keys=old: self.ledger.client.exists(*keys.all())):
                self._drop_epoch(number)

    def _drop_epoch(self, number: int) -> None:
        old = Ledger(self.ledger.client, self.ledger.keys.name, epoch=number)
        final = cast("bytes | None", old.call(lambda: old.client.hget(old.epoch_keys.state, "finalized_seq")))
        intake, again = Intake(self.ledger), 0
        pairs: list[tuple[bytes, bytes]] = []
        if final is not None:
            pairs = [(entry.signature, entry.raw) for entry in read_journal(old, after_seq=int(final))]
        for first in range(0, len(pairs), MOST_AT_ONCE):
            answers = intake.accept(pairs[first : first + MOST_AT_ONCE]).answers
            again += sum(answer.value == "A" for answer in answers)
        old.call(lambda: old.client.unlink(*old.epoch_keys.all()))
        logger.warning("Dropped epoch %d; %d of its transactions were not final and run again", number, again)
