"""The banking stage: load, execute, commit, and do the conflicting ones again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from banking.accounts import Touched, program_data_key, static_accounts, with_lookups
from banking.cache import ProgramCache
from banking.detail import Detail, pack_detail
from banking.entries import Entry
from banking.errors import InvalidTransaction, SlotFull, StillInConflict, TransactionRefused
from banking.execution.nonces import Nonce, judge_nonce, nonce_key
from banking.execution.visibility import sees_slot
from banking.executor import SvmExecutor
from banking.ledger import Ledger, Loaded
from banking.limits import COMMIT_BYTES, LOAD_BYTES, LONE_LOAD_BYTES, MOST_LOADED_BYTES
from banking.records import HEADER_SIZE, Outcome, Result, pack_refusal, pack_result
from banking.solana_errors import (
    ALREADY_PROCESSED,
    BLOCKHASH_NOT_FOUND,
    MAX_LOADED_ACCOUNTS_DATA_SIZE_EXCEEDED,
)
from banking.tolerance import Protection
from banking.wire import TransactionInput, VerifiedTransaction, WireTransaction, check_signatures, decode, verify
from recovery import crash_points
from recovery.retryable import is_retryable

CRASH_POINTS = ("stage.executed",)


@dataclass(slots=True)
class BatchReport:
    """What became of a batch.

    `committed` now; `refused` now, without a fee; `duplicates` had their end before; `full` found no room in the slot
    and must come again in the next; `conflicts` lost to others in every round and must come again, as must those whose
    nonce is good from the next slot on; `invalid` have a wrong signature and were never in intake; `broken` cannot be
    executed here, for the reason beside them.
    """

    committed: list[WireTransaction] = field(default_factory=list)
    refused: list[WireTransaction] = field(default_factory=list)
    duplicates: list[WireTransaction] = field(default_factory=list)
    conflicts: list[WireTransaction] = field(default_factory=list)
    full: list[WireTransaction] = field(default_factory=list)
    invalid: list[WireTransaction] = field(default_factory=list)
    broken: list[tuple[WireTransaction, Exception]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Simulation:
    """A run without effect, as of `slot`: `records` are the accounts as they would be afterwards.

    `resolved` says that the signature has its outcome already.
    """

    slot: int
    result: Result
    records: dict[bytes, bytes]
    detail: Detail | None
    resolved: bool = False


class BankingStage:
    """Executes transactions against a ledger. One to a process; not for use from several threads."""

    def __init__(
        self,
        ledger: Ledger,
        executor: SvmExecutor,
        *,
        conflict_rounds: int = 8,
        protection: Protection | None = None,
    ) -> None:
        self.ledger = ledger
        self._protection = protection or Protection()
        self._executor = executor
        self._rounds = conflict_rounds
        self._native = executor.native
        self._programs = ProgramCache()
        self._epoch = 0

    def process(self, wires: Sequence[WireTransaction], *, enqueued_at: int = 0) -> BatchReport:
        """Bring every transaction to its outcome: two round trips to Redis unless accounts conflict or are large.

        `enqueued_at` (ms, Redis time, 0 = unknown) is when the message was sent. Raises LedgerUnavailable and
        StaleEpoch, both transient: nothing of the last round was committed, or its reply was lost. Ask again.
        """
        report = BatchReport()
        pending = _Pending(_distinct(wires))
        rounds = 0
        while pending.wires and rounds < self._rounds:
            before = len(pending.wires)
            self._round(pending, report, enqueued_at)
            # Large records go in pieces, which is no conflict.
            rounds += not (pending.put_off and len(pending.wires) < before)
        report.conflicts += pending.wires
        return report

    def process_transaction_with_fault_tolerance(self, transaction: TransactionInput) -> Outcome:
        """The whole way of one transaction, without Celery: verify, gate, breaker, execute, commit, with retries.

        A transaction that was processed before keeps its outcome. Raises InvalidTransaction, OperationRefused,
        CircuitOpenError, TransactionRefused (without a fee: it may come again), and the last transient error when the
        retry policy has enough.
        """
        wire = verify(decode(transaction))
        return self._protection.run(lambda: self._process_one(wire))

    def _process_one(self, wire: WireTransaction) -> Outcome:
        report = self.process([wire])
        for _, error in report.broken:
            raise error
        if report.refused:
            raise TransactionRefused(self.ledger.refusals([wire.signature])[0] or "refused")
        if report.full:
            raise SlotFull("the open slot has no room for it")
        outcome = self.ledger.outcomes([wire.signature])[0]
        if outcome is None:
            raise StillInConflict("other transactions on the same accounts won every round")
        return outcome

    def simulate(self, wire: WireTransaction, *, check_blockhash: bool = True) -> Simulation:
        """What `wire` would come to now; nothing is recorded. Raises LedgerUnavailable, StaleEpoch."""
        return self.simulate_each([(wire, check_blockhash)])[0]

    def simulate_each(self, asked: Sequence[tuple[WireTransaction, bool]]) -> list[Simulation]:
        """What each transaction would come to now, each by itself, all as of one moment; see `simulate`.

        Beside each stands whether its blockhash is to be checked.
        """
        wires = [wire for wire, _ in asked]
        touched = {wire.signature: static_accounts(wire) for wire in wires}
        alone = len(wires) == 1
        loaded = self._load(wires, touched, most_bytes=LONE_LOAD_BYTES if alone else LOAD_BYTES)
        if loaded.left_out and not alone:
            # Large accounts: one after the other.
            return [self.simulate_each([one])[0] for one in asked]
        return [
            self._simulate(wire, touched[wire.signature], loaded, resolved and not refused, check)
            for (wire, check), resolved, refused in zip(asked, loaded.resolved, loaded.refused, strict=True)
        ]

    def _simulate(
        self, wire: WireTransaction, touched: Touched, loaded: Loaded, resolved: bool, check: bool
    ) -> Simulation:
        valid = not check or loaded.is_recent(wire.blockhash)
        if not valid and self._nonce(wire, touched, loaded)[1] is not Nonce.USABLE:
            return Simulation(loaded.context.slot, Result(BLOCKHASH_NOT_FOUND, 0, 0, []), {}, None, resolved)
        refusal = None if _may_load(touched, loaded) else MAX_LOADED_ACCOUNTS_DATA_SIZE_EXCEEDED
        ran = self._executor.simulate(wire, touched, loaded.records, refusal=refusal)
        return Simulation(loaded.context.slot, ran.result, {**loaded.records, **ran.writes}, ran.detail, resolved)

    def _round(self, pending: _Pending, report: BatchReport, enqueued_at: int) -> None:
        touched = {wire.signature: static_accounts(wire) for wire in pending.wires}
        loaded = self._load(pending.wires, touched)
        open_wires = _open_ones(pending.wires, loaded, report)
        ready = [wire for wire in open_wires if loaded.has(touched[wire.signature].reads())]
        if open_wires and not ready:
            ready = open_wires[:1]
            loaded = self._load(ready, touched, most_bytes=LONE_LOAD_BYTES)
        executed = self._execute(ready, touched, loaded, pending, report)
        tried = {wire.signature for wire in ready} - {wire.signature for wire in pending.put_off}
        pending.put_off = [wire for wire in open_wires if wire.signature not in tried]
        if not executed:
            pending.wires = pending.put_off
            return
        entries = [entry for _, entry in executed]
        crash_points.reach("stage.executed")
        answer = self.ledger.commit(entries, loaded.versions, enqueued_at, context=loaded.context)
        pending.settle([wire for wire, _ in executed], answer.codes, report)

    def _execute(
        self,
        wires: Sequence[WireTransaction],
        touched: Mapping[bytes, Touched],
        loaded: Loaded,
        pending: _Pending,
        report: BatchReport,
    ) -> list[tuple[WireTransaction, Entry]]:
        """Execute `wires` until what they wrote is enough for one commit; the rest is put off."""
        executed: list[tuple[WireTransaction, Entry]] = []
        size, pending.put_off = 0, []
        # Nearly always; what a batch can grow by keeps the rest of the limit free.
        pending.light = not loaded.left_out and sum(map(len, loaded.records.values())) < MOST_LOADED_BYTES // 4
        for place, wire in enumerate(wires):
            if size > COMMIT_BYTES:
                pending.put_off = list(wires[place:])
                break
            try:
                entry = self._entry(wire, touched[wire.signature], loaded, pending)
            except Exception as error:
                if is_retryable(error):
                    raise
                report.broken.append((wire, error))
                continue
            if entry is None:
                report.conflicts.append(wire)
            else:
                executed.append((wire, entry))
                size += sum(map(len, entry.writes.values()))
        return executed

    def _entry(self, wire: WireTransaction, accounts: Touched, loaded: Loaded, pending: _Pending) -> Entry | None:
        """What to commit for `wire`; None when it must wait for the next slot."""
        refusal = pending.refused.get(wire.signature)
        if refusal is not None:
            return _expired(wire) if refusal == BLOCKHASH_NOT_FOUND else _told(wire, refusal)
        nonce = None
        if not loaded.is_recent(wire.blockhash):
            nonce, verdict = self._nonce(wire, accounts, loaded)
            if verdict is Nonce.NOT_YET:
                return None
            if verdict is Nonce.NONE:
                return _expired(wire, (nonce,) if nonce else ())
        allowed = pending.light or _may_load(accounts, loaded)
        refusal = None if allowed else MAX_LOADED_ACCOUNTS_DATA_SIZE_EXCEEDED
        execution = self._executor.execute(wire, accounts, loaded.records, nonce, refusal=refusal)
        err = execution.result.err
        reads = [key for key in accounts.reads() if key not in self._native]
        if err is not None and not execution.burned:
            # As in Solana: whoever pays no fee is not included, and may try again.
            told = _told(wire, err)
            return replace(
                told,
                blockhash=wire.blockhash if nonce is None else None,
                reads=reads,
                bound=sees_slot(wire),
                nonce=nonce is not None,
            )
        return Entry(
            signature=wire.signature,
            message_hash=wire.message_hash,
            blockhash=wire.blockhash if nonce is None else None,
            reads=reads,
            burned=execution.burned,
            ok=err is None,
            result=pack_result(execution.result),
            raw=wire.raw,
            writes=execution.writes,
            detail=pack_detail(execution.detail),
            bound=sees_slot(wire),
            nonce=nonce is not None,
        )

    def _nonce(self, wire: WireTransaction, accounts: Touched, loaded: Loaded) -> tuple[bytes | None, Nonce]:
        key = nonce_key(wire, accounts.writable)
        if key is None:
            return None, Nonce.NONE
        return key, judge_nonce(wire, loaded.records[key], loaded.context)

    def _load(
        self, wires: Sequence[WireTransaction], touched: dict[bytes, Touched], *, most_bytes: int = LOAD_BYTES
    ) -> Loaded:
        """Everything the batch touches; more than one round trip only for lookup tables and unseen programs.

        What tables and programs name is taken from the very moment that the versions are of.
        """
        if self.ledger.epoch != self._epoch:
            # Sequence numbers, and so versions, come again after a restore, with other records behind them.
            self._programs, self._epoch = ProgramCache(), self.ledger.epoch
        static = dict(touched)
        wanted = dict.fromkeys(key for accounts in touched.values() for key in self._programs.with_data(accounts))
        while True:
            loaded = self._ask(wires, wanted, most_bytes)
            for wire in wires:
                named = with_lookups(wire, static[wire.signature], loaded.records)
                touched[wire.signature] = _with_program_data(named, loaded)
            needed = dict.fromkeys(key for accounts in touched.values() for key in accounts.reads())
            if needed.keys() <= wanted.keys():
                break
            wanted |= needed
        self._executor.begin(loaded.context)
        return loaded

    def _ask(self, wires: Sequence[WireTransaction], wanted: Iterable[bytes], most_bytes: int) -> Loaded:
        accounts = [key for key in wanted if key not in self._native]
        signatures = [wire.signature for wire in wires]
        blockhashes = list(dict.fromkeys(wire.blockhash for wire in wires))
        at_hand = self._programs.versions(accounts)
        loaded = self.ledger.load(signatures, blockhashes, accounts, at_hand, most_bytes=most_bytes)
        self._programs.complete(loaded)
        return loaded


@dataclass(slots=True)
class _Pending:
    """Transactions still without an outcome, and the refusals that the next round will record."""

    wires: list[WireTransaction]
    refused: dict[bytes, str] = field(default_factory=dict)
    #: Those of the last round that did not fit beside the others.
    put_off: list[WireTransaction] = field(default_factory=list)
    #: Whether all that the round loaded is so little that none of its transactions can load too much.
    light: bool = False

    def settle(self, wires: Sequence[WireTransaction], codes: str, report: BatchReport) -> None:
        """Sort `wires` by what the commit script said of each."""
        self.wires = []
        for wire, code in zip(wires, codes, strict=True):
            match code:
                case "A":
                    report.committed.append(wire)
                case "R":
                    report.refused.append(wire)
                case "D":
                    report.duplicates.append(wire)
                case "B":
                    report.full.append(wire)
                case "M":
                    self.refused[wire.signature] = ALREADY_PROCESSED
                    self.wires.append(wire)
                case "E":
                    self.refused[wire.signature] = BLOCKHASH_NOT_FOUND
                    self.wires.append(wire)
                case _:
                    self.wires.append(wire)
        if "B" in codes:
            # What built on those without room, or is as large and was put off, would find none either.
            report.full += [wire for wire in (*self.wires, *self.put_off) if wire.signature not in self.refused]
            self.wires = [wire for wire in self.wires if wire.signature in self.refused]
            self.put_off = []
        self.wires += self.put_off


def _open_ones(wires: Sequence[WireTransaction], loaded: Loaded, report: BatchReport) -> list[WireTransaction]:
    """Those of `wires` that are genuine and have no outcome yet; the others go into the report."""
    found = []
    for wire, resolved, accepted in zip(wires, loaded.resolved, loaded.accepted, strict=True):
        if resolved:
            report.duplicates.append(wire)
        elif _is_genuine(wire, accepted):
            found.append(wire)
        else:
            report.invalid.append(wire)
    return found


def _may_load(accounts: Touched, loaded: Loaded) -> bool:
    """Whether all that the transaction loads stays within what Solana lets it."""
    reads = accounts.reads()
    if not loaded.has(reads):
        return False
    return sum(len(loaded.records.get(key, b"")) for key in reads) <= MOST_LOADED_BYTES + len(reads) * HEADER_SIZE


def _is_genuine(wire: WireTransaction, accepted: bytes) -> bool:
    """Whether the signatures are right: checked before, vouched for by intake, or checked now.

    What stands in intake was verified before it was written there (by `submit`, or before parking). The very same
    bytes need no second look: whoever could forge an intake record could write accounts as well.
    """
    if isinstance(wire, VerifiedTransaction) or accepted == wire.raw:
        return True
    try:
        check_signatures(wire)
    except InvalidTransaction:
        return False
    return True


def _distinct(wires: Sequence[WireTransaction]) -> list[WireTransaction]:
    return list({wire.signature: wire for wire in wires}.values())


def _expired(wire: WireTransaction, reads: Sequence[bytes] = ()) -> Entry:
    """An outcome without a fee: nothing can make it valid again."""
    result = pack_result(Result(BLOCKHASH_NOT_FOUND, 0, 0, []))
    return Entry(wire.signature, wire.message_hash, None, reads, 0, False, result, wire.raw, {})


def _told(wire: WireTransaction, err: str) -> Entry:
    """A refusal without a fee, which is no outcome."""
    return Entry(wire.signature, wire.message_hash, None, (), 0, False, pack_refusal(err), wire.raw, {}, refused=True)


def _with_program_data(touched: Touched, loaded: Loaded) -> Touched:
    data = [key for name in touched.keys if (key := program_data_key(loaded.records.get(name, b"")))]
    if not data:
        return touched
    return replace(touched, implied=tuple(dict.fromkeys((*touched.implied, *data))))
