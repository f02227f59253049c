"""The audit: does the ledger keep its promises? Runs beside the load; nothing is paused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from banking.audit.accounts import Scanned
from banking.audit.checkpoints import CheckpointAudit, Start
from banking.audit.tail import Slot, Tail
from banking.blocks.block import Block
from banking.blocks.store import BlockStore
from banking.errors import BadBlock, InvalidTransaction
from banking.ledger.journal import JournalEntry, read_journal
from banking.ledger.ledger import Ledger, State
from banking.ledger.maintenance import older_epoch_keys, stored_outcomes
from banking.ledger.scan import scan_accounts
from banking.restore.replay import Replay
from banking.transaction import verify
from recovery.archive import NotFound

_MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant of the design: its id, whether it holds, and what was looked at or found wrong."""

    id: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """All checks; `lamports` in accounts and `transactions` with an outcome, at the audited sequence number."""

    ok: bool
    checks: list[Check]
    lamports: int
    transactions: int


@dataclass(slots=True)
class _Findings:
    """Complaints by invariant."""

    found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, invariant: str, text: str) -> None:
        self.found.setdefault(invariant, []).append(text)

    def check(self, invariant: str, good: str) -> Check:
        bad = self.found.get(invariant, [])
        more = f" (and {len(bad) - _MAX_NAMED} more)" if len(bad) > _MAX_NAMED else ""
        return Check(invariant, not bad, "; ".join(bad[:_MAX_NAMED]) + more if bad else good)


def audit(ledger: Ledger, blocks: BlockStore) -> AuditReport:
    """Check the invariants I1 to I8 of the ledger in Redis against the archive.

    Raises LedgerMissing, LedgerUnavailable, ArchiveReadError: what cannot be read is not judged.
    """
    return _Audit(ledger, blocks).run()


class _Audit:
    def __init__(self, ledger: Ledger, blocks: BlockStore) -> None:
        self._ledger = ledger
        self._blocks = blocks
        self._findings = _Findings()
        self._replay = Replay()
        self._signatures_checked = 0
        self._last_block: Block | None = None
        self._checkpoints = CheckpointAudit(blocks, self._findings.add)
        self._start = Start(-1, None)

    def run(self) -> AuditReport:
        start = self._ledger.state()
        scanned = Scanned(self._findings.add)
        for key, version, record in scan_accounts(self._ledger):
            scanned.add(key, version, record)
        tail = Tail.read(self._ledger)
        end, pending = tail.state, tail.pending
        self._start = self._checkpoints.start(self._replay)
        scanned.begin(self._replay)
        for slot in self._slots(tail):
            for entry in slot.entries:
                self._check_signature(entry)
                self._replay.apply_one(entry)
                scanned.see(entry, start.seq)
            self._replay.end_slot(slot.images)
            scanned.compare_images(slot.images, self._replay)
            if slot.block is not None:
                self._end_block(slot.block)
        scanned.compare(self._replay, start.seq, end)
        tail.check(self._findings.add)
        self._compare_totals(end, pending)
        self._compare_with_archive(end)
        self._look_for_strangers(end)
        return self._report(end, pending)

    def _slots(self, tail: Tail) -> Iterator[Slot]:
        """Every slot up to the end: from the blocks, then from the journal what is not in a block yet."""
        end = tail.state
        try:
            self._check_older_blocks()
            start = self._start
            for block in self._blocks.follow(start.slot + 1, start.block_hash, until=end.finalized):
                self._check_chain(block)
                yield Slot(block.entries, block.images, block)
        except BadBlock as error:
            self._findings.add("I6", str(error))
        yield from tail.slots()

    def _end_block(self, block: Block) -> None:
        self._replay.check_header(block.header)
        self._checkpoints.compare(self._replay, block.header.slot)
        self._last_block = block

    def _check_signature(self, entry: JournalEntry) -> None:
        if not entry.raw:
            return
        self._signatures_checked += 1
        try:
            verify(entry.raw)
        except InvalidTransaction as error:
            self._findings.add("I6", f"seq {entry.seq}: {error.reason}")

    def _check_older_blocks(self) -> None:
        """Blocks below the checkpoint that the replay starts from are kept for history: their chain must hold."""
        first = next(self._blocks.slots(), None)
        if first is not None and first <= self._start.slot:
            for block in self._blocks.follow(first, None, until=self._start.slot):
                self._check_chain(block)
                self._last_block = block
            self._checkpoints.compare(self._replay, self._start.slot)

    def _check_chain(self, block: Block) -> None:
        before = self._last_block
        if before is None:
            self._replay.supply = block.header.supply
        elif block.header.epoch < before.header.epoch:
            self._findings.add("I8", f"slot {block.header.slot} was written by fenced epoch {block.header.epoch}")
        elif block.header.ledger_id != before.header.ledger_id:
            self._findings.add("I6", f"slot {block.header.slot} belongs to another ledger")

    def _compare_totals(self, end: State, pending: dict[str, int]) -> None:
        replay = self._replay
        for text in replay.conservation:
            self._findings.add("I1", text)
        if replay.lamports != end.supply - replay.burned:
            text = f"{replay.lamports} lamports in accounts, supply {end.supply} less burned {replay.burned}"
            self._findings.add("I1", text)
        if end.burned != replay.burned:
            self._findings.add("I1", f"burned counts {end.burned} lamports, the outcomes say {replay.burned}")
        for text in replay.repeated:
            self._findings.add("I2", text)
        for text in replay.order:
            self._findings.add("I6", text)
        if replay.seq != end.seq:
            self._findings.add("I5", f"the outcomes end at {replay.seq}, the ledger counts {end.seq}")
        if (replay.processed, replay.failed) != (end.processed, end.failed):
            text = f"{end.processed} processed and {end.failed} failed are counted"
            self._findings.add("I3", f"{text}, the outcomes are {replay.processed} and {replay.failed}")
        resolved = end.processed + end.failed
        dead = pending["dead"] + end.dropped
        if end.accepted != resolved + end.refused + pending["intake"] + dead:
            self._findings.add(
                "I3",
                f"{end.accepted} accepted, but {resolved} have an outcome, {end.refused} were refused, "
                f"{pending['intake']} wait and {dead} are or were dead letters",
            )

    def _compare_with_archive(self, end: State) -> None:
        try:
            header = self._blocks.header(end.finalized)
        except (NotFound, BadBlock) as error:
            self._findings.add("I4", f"slot {end.finalized} counts as final without a good block: {error}")
            return
        if header.hash() != end.blockhash:
            self._findings.add("I4", f"the block of slot {end.finalized} is not the one the ledger built on")
        if (header.last_seq, header.ledger_id) != (end.finalized_seq, end.ledger_id):
            self._findings.add("I4", f"the block of slot {end.finalized} ends at seq {header.last_seq}")
        self._compare_statuses(end)

    def _compare_statuses(self, end: State) -> None:
        """What Redis answers for recent signatures must be what the journal, and so the blocks, say."""
        page: list[JournalEntry] = []
        for entry in read_journal(self._ledger):
            if entry.seq > end.seq:
                break
            page.append(entry)
            if len(page) == 1000:
                self._compare_status_page(page)
                page = []
        self._compare_status_page(page)

    def _compare_status_page(self, page: list[JournalEntry]) -> None:
        if not page:
            return
        stored = stored_outcomes(self._ledger, [entry.signature for entry in page])
        for entry, (value, held) in zip(page, stored, strict=True):
            if value is not None and value != entry.value:
                self._findings.add("I4", f"seq {entry.seq}: Redis tells another outcome than the journal")
            if value is None:
                self._findings.add("I4", f"seq {entry.seq}: Redis has forgotten its outcome")
            if held is not None:
                self._findings.add("I3", f"seq {entry.seq} has its outcome and still waits in intake")

    def _look_for_strangers(self, end: State) -> None:
        newest = self._blocks.newest()
        # Slots were sealed while the audit ran; what Redis knows is asked after the archive, and only grows.
        known = self._ledger.state().finalized
        if newest is not None and newest > known + 1:
            text = f"the archive has slot {newest}, Redis knows only {known}: it fell behind"
            self._findings.add("I7", text)
        for key in older_epoch_keys(self._ledger, end.epoch):
            self._findings.add("I8", f"{key} of a fenced epoch is still written or was left behind")

    def _report(self, end: State, pending: dict[str, int]) -> AuditReport:
        replay, find = self._replay, self._findings
        resolved = end.processed + end.failed
        slot = self._start.slot
        since = "since the genesis" if slot < 0 else f"since the checkpoint of slot {slot}"
        checks = [
            find.check("I1", f"{replay.lamports} lamports + {replay.burned} burned = {end.supply} at every step"),
            find.check("I2", f"{len(replay.signatures)} signatures applied, each once, {since}"),
            find.check(
                "I3",
                f"{end.accepted} accepted = {resolved} outcomes + {end.refused} refused + "
                f"{pending['intake']} waiting + {pending['dead'] + end.dropped} dead letters",
            ),
            find.check(
                "I4",
                f"final up to slot {end.finalized}; recent outcomes agree; {end.slot_bytes + end.closing_bytes} bytes "
                "wait for their block",
            ),
            find.check("I5", f"{len(replay.accounts)} accounts equal their replay, byte for byte"),
            find.check(
                "I6",
                f"blocks chained up to slot {end.finalized}, {self._signatures_checked} transactions verified {since}",
            ),
            find.check(
                "I7",
                f"epoch {end.epoch} is served, the archive holds nothing that it lacks, and "
                f"{len(self._checkpoints.good)} checkpoints verify",
            ),
            find.check("I8", "no trace of a fenced epoch"),
        ]
        return AuditReport(all(check.ok for check in checks), checks, replay.lamports, resolved)
