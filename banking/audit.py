"""The audit: does the ledger keep its promises? Runs beside the load; nothing is paused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from banking.audit_checkpoints import CheckpointAudit, Start
from banking.blocks import Block
from banking.blockstore import BlockStore
from banking.errors import BadBlock, InvalidTransaction
from banking.journal import JournalEntry, read_journal
from banking.ledger import Ledger, State
from banking.records import lamports_of
from banking.replay import Replay
from banking.scan import scan_accounts
from banking.versions import is_restored, is_written_by, sequence
from banking.wire import verify
from recovery.archive import NotFound

_MOST_NAMED = 5


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
        more = f" (and {len(bad) - _MOST_NAMED} more)" if len(bad) > _MOST_NAMED else ""
        return Check(invariant, not bad, "; ".join(bad[:_MOST_NAMED]) + more if bad else good)


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
        versions, scanned = {}, {}
        for key, version, record in scan_accounts(self._ledger):
            versions[key] = version
            scanned[key] = (self._sequence(key, version), record)
        end, pending = self._end_state()
        self._start = self._checkpoints.start(self._replay)
        self._replay_until(start, end, scanned)
        self._check_versions(versions, end)
        self._compare_totals(end, pending)
        self._compare_with_archive(end)
        self._look_for_strangers(end)
        return self._report(end, pending)

    def _end_state(self) -> tuple[State, dict[str, int]]:
        """Counters and the sizes of intake and dead letters, of one moment."""
        keys = self._ledger.keys
        while True:
            state = self._ledger.state()

            def read(state: State = state) -> Any:
                pipe = self._ledger.client.pipeline(transaction=True)
                pipe.hmget(keys.epoch(state.epoch).state, "seq", "accepted")
                pipe.hlen(keys.intake)
                pipe.hkeys(keys.dead)
                return pipe.execute()

            (seq, accepted), waiting, dead = self._ledger.call(read)
            if int(seq) == state.seq and int(accepted) == state.accepted:
                # Letters of what never was a transaction have other ids than signatures.
                return state, {"intake": waiting, "dead": sum(len(name) == 64 for name in dead)}

    def _entries(self, end: State) -> Iterator[JournalEntry]:
        """Every outcome up to `end`: from the blocks, then from the journal what is not in a block yet."""
        try:
            self._check_older_blocks()
            start = self._start
            for block in self._blocks.follow(start.slot + 1, start.block_hash, until=end.finalized):
                self._check_chain(block)
                yield from block.entries
                self._check_header(block)
                self._checkpoints.compare(self._replay, block.header.slot)
                self._last_block = block
        except BadBlock as error:
            self._findings.add("I6", str(error))
        for entry in read_journal(self._ledger, after_seq=end.finalized_seq):
            if entry.seq > end.seq:
                break
            yield entry

    def _replay_until(self, start: State, end: State, scanned: dict[bytes, tuple[int, bytes]]) -> None:
        later = {key: pair for key, pair in scanned.items() if pair[0] > start.seq}
        compared = False
        touched: set[bytes] = set()
        missing: set[bytes] = set()
        for entry in self._entries(end):
            if not compared and entry.seq > start.seq:
                missing = self._compare_accounts(scanned, later)
                compared = True
            self._check_signature(entry)
            self._replay.apply([entry])
            if entry.seq > start.seq:
                touched.update(entry.writes)
                for key, record in entry.writes.items():
                    if key in later and later[key][0] == entry.seq:
                        self._compare_record(key, record, later.pop(key)[1])
        if not compared:
            missing = self._compare_accounts(scanned, later)
        for key in missing - touched:
            self._findings.add("I5", f"account {key.hex()[:16]}… is lost")
        for key, (version, _) in later.items():
            if version <= end.seq:
                self._findings.add("I5", f"account {key.hex()[:16]}… has version {version}, which did not write it")

    def _compare_accounts(
        self, scanned: dict[bytes, tuple[int, bytes]], later: dict[bytes, tuple[int, bytes]]
    ) -> set[bytes]:
        """Compare what had not changed since the start; returns keys that should have been seen and were not."""
        for key, (version, record) in scanned.items():
            if key in later:
                continue
            expected = self._replay.accounts.get(key)
            if expected is None:
                self._findings.add("I5", f"account {key.hex()[:16]}… is not in the replay")
            elif expected[0] != version:
                self._findings.add("I5", f"account {key.hex()[:16]}… has version {version}, not {expected[0]}")
            else:
                self._compare_record(key, expected[1], record)
        return self._replay.accounts.keys() - scanned.keys()

    def _compare_record(self, key: bytes, expected: bytes, found: bytes) -> None:
        if expected == found:
            return
        self._findings.add("I5", f"account {key.hex()[:16]}… differs from the replay")
        if lamports_of(expected) != lamports_of(found):
            made = lamports_of(found) - lamports_of(expected)
            self._findings.add("I1", f"account {key.hex()[:16]}… has {made:+d} lamports from nowhere")

    def _sequence(self, key: bytes, version: bytes) -> int:
        try:
            return sequence(version) if version else 0
        except ValueError:
            self._findings.add("I5", f"account {key.hex()[:16]}… has {version!r} for a version")
            return 0

    def _check_versions(self, versions: dict[bytes, bytes], end: State) -> None:
        """A version names one write: by the transaction that the outcomes say, and no other under its number."""
        by_number: dict[int, bytes] = {}
        for key, version in versions.items():
            number = self._sequence(key, version)
            if by_number.setdefault(number, version) != version:
                self._findings.add("I5", f"sequence number {number} was handed out twice: two versions carry it")
            current, writer = self._replay.accounts.get(key), self._replay.writers.get(key)
            if writer is None or current is None or current[0] != number or is_restored(version, end.epoch):
                continue
            if not is_written_by(version, writer):
                self._findings.add("I5", f"account {key.hex()[:16]}… has the version of another transaction")

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

    def _check_header(self, block: Block) -> None:
        # The caller of the generator has applied the entries by now.
        self._replay.check_header(block.header)

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
        if end.accepted != resolved + pending["intake"] + pending["dead"]:
            self._findings.add(
                "I3",
                f"{end.accepted} accepted, but {resolved} have an outcome, {pending['intake']} wait and "
                f"{pending['dead']} are dead letters",
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
        names: list[Any] = [entry.signature for entry in page]
        values = self._ledger.call(lambda: self._ledger.client.hmget(self._ledger.epoch_keys.status, names))
        waiting = self._ledger.call(lambda: self._ledger.client.hmget(self._ledger.keys.intake, names))
        for entry, value, held in zip(page, values, waiting, strict=True):
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
        own = self._ledger.keys.epoch(end.epoch).prefix
        pattern = f"{self._ledger.keys.prefix}:e[0-9]*:state"
        for key in self._ledger.call(lambda: list(self._ledger.client.scan_iter(match=pattern, count=1000))):
            if not key.decode().startswith(f"{own}:") and self._is_older(key.decode(), end.epoch):
                self._findings.add("I8", f"{key.decode()} of a fenced epoch is still written or was left behind")

    def _is_older(self, key: str, epoch: int) -> bool:
        number = key.removeprefix(f"{self._ledger.keys.prefix}:e").partition(":")[0]
        return number.isdecimal() and int(number) < epoch

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
                f"{end.accepted} accepted = {resolved} outcomes + {pending['intake']} waiting + "
                f"{pending['dead']} dead letters",
            ),
            find.check("I4", f"final up to slot {end.finalized}; recent outcomes agree"),
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
