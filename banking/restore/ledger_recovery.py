"""Keeping the ledger and its archive together: check, restore when needed, checkpoint, tidy up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from banking.blocks.store import BlockStore
from banking.errors import LeaseLost, RestoreInterrupted
from banking.intake.intake import MAX_AT_ONCE, Intake
from banking.ledger.journal import read_journal
from banking.ledger.ledger import BLOCKHASH_HISTORY, Ledger
from banking.ledger.maintenance import drop_epoch, epoch_counters, epoch_view, forget_leftover, leftovers
from banking.ledger.observing import write_note
from banking.ledger.staging import drop_staged
from banking.restore.checkpointing import COMPONENT, LedgerSnapshot, checkpoint_store, newest_chain
from banking.restore.consistency import ConsistencyReport, ConsistencyState, compare
from banking.restore.restoring import LedgerRestore
from recovery import crash_points
from recovery.checkpoints import BadCheckpoint, Manifest, NoUsableCheckpoint, Part
from recovery.checkpoints.components import Component, ComponentLayer
from recovery.checkpoints.recovery_manager import RecoveryManager
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.dead_letters import LetterLimits

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.25
#: They were accepted before: no backpressure may turn them away now.
_NO_LIMIT = 2**52


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


class LedgerRecovery:
    """Looks after one ledger. `others` are components that are saved and restored together with it, by name."""

    def __init__(
        self,
        ledger: Ledger,
        blocks: BlockStore,
        *,
        others: Mapping[str, Component] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.ledger = ledger
        self.blocks = blocks
        self.store = checkpoint_store(blocks, clock=clock)
        self._others = others or {}
        self._clock = clock
        self._level = logging.WARNING

    # ---- checking and restoring

    def check(self) -> ConsistencyReport:
        """Compare Redis with the archive; see `banking.restore.consistency`."""
        return compare(self.ledger, self.blocks)

    def serve_new(self) -> None:
        """Have Redis serve a ledger whose archive was just written: what it lacks is no loss, and no warning.

        Raises what `ensure_consistent` raises.
        """
        self._level = logging.INFO
        self.ensure_consistent()

    def ensure_consistent(
        self, keep_waiting: Callable[[ConsistencyReport], bool] = lambda _: True
    ) -> ConsistencyReport:
        """Return once the ledger is healthy, restoring it if nobody else does.

        `keep_waiting` is asked, at least every 0.25 s, while somebody else restores or nothing can be done; when it
        says no, the last finding is returned as it is. Raises BadBlock, RestoreFailed, NoUsableCheckpoint,
        LedgerUnavailable, ArchiveUnavailable: then nothing unverified is served, and asking again is safe.
        """
        told = ""
        while True:
            report = self.check()
            if report.state is ConsistencyState.HEALTHY:
                self.collect_old_epochs()
                return report
            if report.detail != told:
                logger.log(self._level, "Ledger %s is %s: %s", self.ledger.name, report.state, report.detail)
                told = report.detail
            if report.needs_restore and self._restore_once(report.epoch):
                continue
            if not keep_waiting(report):
                return report
            self._clock.sleep(_POLL_SECONDS)

    def restore_from(self, checkpoint_id: str) -> None:
        """Restore one checkpoint and the blocks behind it. Raises UnknownCheckpoint, BadCheckpoint, LeaseLost."""
        # Nothing is fenced for a checkpoint that cannot be restored.
        report = self.store.verify(checkpoint_id)
        if not report.ok:
            raise BadCheckpoint(f"checkpoint {checkpoint_id}: {report.explain()}")
        began = self._clock.monotonic()
        restore = LedgerRestore.begin(self.ledger, self.blocks, clock=self._clock)
        if restore is None:
            raise LeaseLost("another process is restoring this ledger")
        try:
            manager = self._manager(LedgerComponent(None, (), restore))
            manager.restore_system_checkpoint(checkpoint_id)
            self._note_restore(restore, checkpoint_id, began)
        finally:
            restore.give_up()
        self.collect_old_epochs()

    def _restore_once(self, observed: str) -> bool:
        """One attempt; False when another process has the lease or took it over."""
        restore = LedgerRestore.begin(self.ledger, self.blocks, observed=observed, clock=self._clock, level=self._level)
        if restore is None:
            return False
        logger.log(self._level, "Restoring ledger %s under epoch %d", self.ledger.name, restore.epoch)
        try:
            self._run_restore(restore)
        except RestoreInterrupted as error:
            logger.warning("The restore was not finished: %s", error)
            restore.discard_restored()
            return False
        except BaseException:
            restore.discard_restored()
            raise
        finally:
            restore.give_up()
        return True

    def _run_restore(self, restore: LedgerRestore) -> None:
        began = self._clock.monotonic()
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
        self._note_restore(restore, "" if restored is None else restored.id, began)
        self._set_bad_aside(restored)

    def _note_restore(self, restore: LedgerRestore, checkpoint_id: str, began: float) -> None:
        seconds = round(self._clock.monotonic() - began, 3)
        write_note(self.ledger, "restore", {"epoch": restore.epoch, "checkpoint": checkpoint_id, "seconds": seconds})

    def _set_bad_aside(self, restored: Manifest | None) -> None:
        """Move what was passed over, because it does not verify, into the archive's quarantine: kept, and said."""
        for checkpoint_id in reversed(self.store.ids()):
            if restored is not None and checkpoint_id == restored.id:
                return
            report = self.store.verify(checkpoint_id)
            # Without a good signature it may be another node's, and good for those who trust its key.
            if report.manifest is not None and not report.ok and not report.unreadable:
                logger.error("Checkpoint %s is bad and was set aside: %s", checkpoint_id, report.explain())
                self.store.quarantine(checkpoint_id)

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

    def collect_old_epochs(self) -> None:
        """Drop what fenced epochs and cut-off restores left; what was processed there and never final runs again."""
        current = self.ledger.epoch
        for name in leftovers(self.ledger):
            if name.startswith("load-"):
                drop_staged(self.ledger, name.removeprefix("load-"))
            elif int(name.removeprefix("e")) < current:
                self._drop_epoch(int(name.removeprefix("e")))
            else:
                continue
            forget_leftover(self.ledger, name)

    def _drop_epoch(self, number: int) -> None:
        old = epoch_view(self.ledger, number)
        state = epoch_counters(old)
        pairs: dict[bytes, bytes] = {}
        if state:
            entries = read_journal(old, after_seq=int(state[b"finalized_seq"]))
            pairs = {entry.signature: entry.raw for entry in entries}
        if pairs:
            self._leave_out_final(pairs, int(state[b"finalized"]))
        again = self._accept_again(list(pairs.items()))
        crash_points.reach("restore.accepted-again")
        drop_epoch(old)
        logger.warning("Dropped epoch %d; %d of its transactions were not final and run again", number, again)

    def _leave_out_final(self, pairs: dict[bytes, bytes], slot: int) -> None:
        """Rolled back by more than 300 slots: the statuses no longer know what became final since, the blocks do."""
        until = self.ledger.state().finalized - BLOCKHASH_HISTORY
        if slot < until:
            for block in self.blocks.follow(slot + 1, None, until=until):
                for entry in block.entries:
                    pairs.pop(entry.signature, None)

    def _accept_again(self, pairs: Sequence[tuple[bytes, bytes]]) -> int:
        letters = LetterLimits(_NO_LIMIT, _NO_LIMIT)
        intake, again = Intake(self.ledger, limit=_NO_LIMIT, unsealed_limit=_NO_LIMIT, letters=letters), 0
        for first in range(0, len(pairs), MAX_AT_ONCE):
            answers = intake.accept(pairs[first : first + MAX_AT_ONCE]).answers
            again += sum(answer.value == "A" for answer in answers)
        return again
