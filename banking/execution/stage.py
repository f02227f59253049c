"""The banking stage: load, execute, commit, and do the conflicting ones again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from banking.errors import SlotFull, StillInConflict, TransactionRefused
from banking.execution.account_access import AccountAccess, program_data_key, static_accounts, with_lookups
from banking.execution.batch import BatchReport, PendingBatch, distinct, without_outcome
from banking.execution.executor import SvmExecutor
from banking.execution.fault_tolerance import Protection
from banking.execution.nonces import Nonce, judge_nonce, nonce_key
from banking.execution.program_cache import ProgramCache
from banking.execution.solana_errors import (
    BLOCKHASH_NOT_FOUND,
    MAX_LOADED_ACCOUNTS_DATA_SIZE_EXCEEDED,
)
from banking.execution.transaction_meta import TransactionMeta, pack_transaction_meta
from banking.execution.visibility import sees_slot
from banking.ledger.batch_record import BatchRecord
from banking.ledger.commit_request import CommitRequest
from banking.ledger.ledger import Ledger
from banking.ledger.limits import COMMIT_BYTES, LOAD_BYTES, LONE_LOAD_BYTES, MAX_LOADED_BYTES
from banking.ledger.loaded_state import LoadedState
from banking.ledger.records import HEADER_SIZE, Outcome, Result, pack_refusal, pack_result
from banking.ledger.turns import ASKING, LEAST_OF_A_TURN
from banking.transaction import (
    AcceptedTransaction,
    SignedTransaction,
    TransactionInput,
    decode,
    verify,
)
from recovery import crash_points
from recovery.retry.classification import is_retryable

CRASH_POINTS = ("stage.executed",)
#: Large records whose versions are asked for beside those of a batch: its programs are probably among them.
_AT_HAND = 16


@dataclass(frozen=True, slots=True)
class OpenedBatch:
    """A batch out of intake, and what the ledger held of its accounts when it was read."""

    record: BatchRecord
    loaded: LoadedState

    @property
    def transactions(self) -> list[AcceptedTransaction]:
        return self.record.transactions


@dataclass(frozen=True, slots=True)
class Simulation:
    """A run without effect, as of `slot`: `records` are the accounts as they would be afterwards.

    `written` are those among them that it would change. `resolved` says that the signature has its outcome already.
    """

    slot: int
    result: Result
    records: dict[bytes, bytes]
    detail: TransactionMeta
    resolved: bool = False
    written: Mapping[bytes, bytes] = field(default_factory=dict)


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

    def open_batch(self, batch: bytes) -> OpenedBatch | None:
        """Read a batch out of intake; None when it is not there as a whole. Raises LedgerUnavailable, StaleEpoch."""
        self._begin_epoch()
        found = self.ledger.load_batch(batch, self._programs.newest(_AT_HAND))
        if found is None:
            return None
        record, loaded = found
        for key in self._native.intersection(loaded.versions):
            del loaded.versions[key], loaded.records[key]
        self._programs.complete(loaded)
        return OpenedBatch(record, loaded)

    def process(
        self, transactions: Sequence[SignedTransaction], *, enqueued_at: int = 0, opened: OpenedBatch | None = None
    ) -> BatchReport:
        """Bring every transaction to its outcome: two round trips to Redis unless accounts conflict or are large.

        `enqueued_at` (ms, Redis time, 0 = unknown) is when the message was sent; `opened` is the batch whose
        transactions these are, if it was just read. Raises LedgerUnavailable and StaleEpoch, both transient: nothing of
        the last round was committed, or its reply was lost. Ask again.
        """
        report = BatchReport()
        pending = PendingBatch(distinct(transactions))
        rounds = 0
        while pending.transactions and rounds < self._rounds:
            before = len(pending.transactions)
            self._round(pending, report, enqueued_at, opened)
            opened = None
            # Large records go in pieces, which is no conflict.
            rounds += not (pending.put_off and len(pending.transactions) < before)
        report.conflicts += pending.transactions
        return report

    def process_transaction_with_fault_tolerance(self, transaction: TransactionInput) -> Outcome:
        """The whole way of one transaction, without Celery: verify, gate, breaker, execute, commit, with retries.

        A transaction that was processed before keeps its outcome. Raises InvalidTransaction, OperationRefused,
        CircuitOpenError, TransactionRefused (without a fee: it may come again), and the last transient error when the
        retry policy has enough.
        """
        signed = verify(decode(transaction))
        return self._protection.run(lambda: self._process_one(signed))

    def _process_one(self, transaction: SignedTransaction) -> Outcome:
        report = self.process([transaction])
        for _, error in report.broken:
            raise error
        if report.refused:
            raise TransactionRefused(self.ledger.refusals([transaction.signature])[0] or "refused")
        if report.full:
            raise SlotFull("the open slot has no room for it")
        outcome = self.ledger.outcomes([transaction.signature])[0]
        if outcome is None:
            raise StillInConflict("other transactions on the same accounts won every round")
        return outcome

    def simulate(self, transaction: SignedTransaction, *, check_blockhash: bool = True) -> Simulation:
        """What `transaction` would come to now; nothing is recorded. Raises LedgerUnavailable, StaleEpoch."""
        return self.simulate_each([(transaction, check_blockhash)])[0]

    def simulate_each(self, asked: Sequence[tuple[SignedTransaction, bool]]) -> list[Simulation]:
        """What each transaction would come to now, each by itself, all as of one moment; see `simulate`.

        Beside each stands whether its blockhash is to be checked.
        """
        transactions = [transaction for transaction, _ in asked]
        access = {transaction.signature: static_accounts(transaction) for transaction in transactions}
        alone = len(transactions) == 1
        loaded = self._load(transactions, access, most_bytes=LONE_LOAD_BYTES if alone else LOAD_BYTES)
        if loaded.left_out and not alone:
            # Large accounts: one after the other.
            return [self.simulate_each([one])[0] for one in asked]
        return [
            self._simulate(transaction, access[transaction.signature], loaded, resolved and not refused, check)
            for (transaction, check), resolved, refused in zip(asked, loaded.resolved, loaded.refused, strict=True)
        ]

    def _simulate(
        self, transaction: SignedTransaction, access: AccountAccess, loaded: LoadedState, resolved: bool, check: bool
    ) -> Simulation:
        valid = not check or loaded.is_recent(transaction.blockhash)
        if not valid and self._nonce(transaction, access, loaded)[1] is not Nonce.USABLE:
            result, detail = Result(BLOCKHASH_NOT_FOUND, 0, 0, []), self._executor.untouched(access, loaded.records)
            return Simulation(loaded.context.slot, result, {}, detail, resolved)
        refusal = None if _may_load(access, loaded) else MAX_LOADED_ACCOUNTS_DATA_SIZE_EXCEEDED
        ran = self._executor.simulate(transaction, access, loaded.records, refusal=refusal)
        records = {**loaded.records, **ran.writes}
        return Simulation(loaded.context.slot, ran.result, records, ran.detail, resolved, ran.writes)

    def _round(
        self, pending: PendingBatch, report: BatchReport, enqueued_at: int, opened: OpenedBatch | None = None
    ) -> None:
        access = {transaction.signature: static_accounts(transaction) for transaction in pending.transactions}
        asked = ASKING if len(pending.transactions) >= LEAST_OF_A_TURN else b""
        loaded = self._load(pending.transactions, access, opened=opened, turn=pending.turn or asked)
        open_transactions = without_outcome(pending.transactions, loaded, report)
        ready = open_transactions
        if loaded.left_out:
            ready = [one for one in open_transactions if loaded.has(access[one.signature].reads())]
        if open_transactions and not ready:
            ready = open_transactions[:1]
            access = {one.signature: static_accounts(one) for one in ready}
            loaded = self._load(ready, access, most_bytes=LONE_LOAD_BYTES)
        executed = self._execute(ready, access, loaded, pending, report)
        if len(ready) < len(open_transactions):
            tried = {one.signature for one in ready} - {one.signature for one in pending.put_off}
            pending.put_off = [one for one in open_transactions if one.signature not in tried]
        if not executed:
            pending.transactions = pending.put_off
            return
        entries = [entry for _, entry in executed]
        crash_points.reach("stage.executed")
        whole = opened is not None and len(entries) == len(opened.transactions)
        batch = opened.record.id if opened is not None and whole else b""
        answer = self.ledger.commit(
            entries, loaded.versions, enqueued_at, context=loaded.context, batch=batch, turn=loaded.turn
        )
        pending.turn = loaded.turn if "C" in answer.codes else b""
        pending.settle([transaction for transaction, _ in executed], answer.codes, report)
        report.locate(answer, entries)

    def _execute(
        self,
        transactions: Sequence[SignedTransaction],
        access: Mapping[bytes, AccountAccess],
        loaded: LoadedState,
        pending: PendingBatch,
        report: BatchReport,
    ) -> list[tuple[SignedTransaction, CommitRequest]]:
        """Execute `transactions` until what they wrote is enough for one commit; the rest is put off."""
        executed: list[tuple[SignedTransaction, CommitRequest]] = []
        size, pending.put_off = 0, []
        # Nearly always; what a batch can grow by keeps the rest of the limit free.
        pending.light = not loaded.left_out and sum(map(len, loaded.records.values())) < MAX_LOADED_BYTES // 4
        for place, transaction in enumerate(transactions):
            if size > COMMIT_BYTES:
                pending.put_off = list(transactions[place:])
                break
            try:
                entry = self._entry(transaction, access[transaction.signature], loaded, pending)
            except Exception as error:
                if is_retryable(error):
                    raise
                report.broken.append((transaction, error))
                continue
            if entry is None:
                report.conflicts.append(transaction)
            else:
                executed.append((transaction, entry))
                for record in entry.writes.values():
                    size += len(record)
        return executed

    def _entry(
        self, transaction: SignedTransaction, accounts: AccountAccess, loaded: LoadedState, pending: PendingBatch
    ) -> CommitRequest | None:
        """What to commit for `transaction`; None when it must wait for the next slot."""
        refusal = pending.refused.get(transaction.signature)
        if refusal is not None:
            return _expired(transaction) if refusal == BLOCKHASH_NOT_FOUND else _told(transaction, refusal)
        nonce = None
        if not loaded.is_recent(transaction.blockhash):
            nonce, verdict = self._nonce(transaction, accounts, loaded)
            if verdict is Nonce.NOT_YET:
                return None
            if verdict is Nonce.NONE:
                return _expired(transaction, (nonce,) if nonce else ())
        allowed = pending.light or _may_load(accounts, loaded)
        refusal = None if allowed else MAX_LOADED_ACCOUNTS_DATA_SIZE_EXCEEDED
        execution = self._executor.execute(transaction, accounts, loaded.records, nonce, refusal=refusal)
        err = execution.result.err
        reads = [key for key in accounts.reads() if key not in self._native]
        if err is not None and not execution.burned:
            # As in Solana: whoever pays no fee is not included, and may try again.
            told = _told(transaction, err)
            return replace(
                told,
                blockhash=transaction.blockhash if nonce is None else None,
                reads=reads,
                bound=sees_slot(transaction, accounts.keys),
                nonce=nonce is not None,
            )
        return CommitRequest(
            signature=transaction.signature,
            message_hash=transaction.message_hash,
            blockhash=transaction.blockhash if nonce is None else None,
            reads=reads,
            burned=execution.burned,
            ok=err is None,
            result=pack_result(execution.result),
            raw=transaction.raw,
            writes=execution.writes,
            detail=pack_transaction_meta(execution.detail),
            bound=sees_slot(transaction, accounts.keys),
            nonce=nonce is not None,
        )

    def _nonce(
        self, transaction: SignedTransaction, accounts: AccountAccess, loaded: LoadedState
    ) -> tuple[bytes | None, Nonce]:
        key = nonce_key(transaction, accounts.writable)
        if key is None:
            return None, Nonce.NONE
        return key, judge_nonce(transaction, loaded.records[key], loaded.context)

    def _load(
        self,
        transactions: Sequence[SignedTransaction],
        access: dict[bytes, AccountAccess],
        *,
        most_bytes: int = LOAD_BYTES,
        opened: OpenedBatch | None = None,
        turn: bytes = b"",
    ) -> LoadedState:
        """Everything the batch touches; more than one round trip only for lookup tables and unseen programs.

        What tables and programs name is taken from the very moment that the versions are of. What was `opened` is not
        asked for again unless it names more.
        """
        self._begin_epoch()
        static = dict(access)
        found = None
        wanted: dict[bytes, None] = {}
        if opened is not None:
            found = opened.loaded
            wanted = dict.fromkeys((*opened.record.accounts, *found.versions, *self._native))
        else:
            for accounts in access.values():
                wanted.update(dict.fromkeys(accounts.reads()))
            wanted.update(dict.fromkeys(self._programs.data_of(wanted)))
        while True:
            loaded, found = found or self._ask(transactions, wanted, most_bytes, turn), None
            turn = loaded.turn or turn
            needed = _follow(transactions, static, access, loaded.records)
            if needed.keys() <= wanted.keys():
                break
            wanted |= needed
        self._executor.begin(loaded.context)
        return loaded

    def _begin_epoch(self) -> None:
        if self.ledger.epoch != self._epoch:
            # Sequence numbers, and so versions, come again after a restore, with other records behind them.
            self._programs, self._epoch = ProgramCache(), self.ledger.epoch

    def _ask(
        self, transactions: Sequence[SignedTransaction], wanted: Iterable[bytes], most_bytes: int, turn: bytes
    ) -> LoadedState:
        accounts = [key for key in wanted if key not in self._native]
        signatures = [transaction.signature for transaction in transactions]
        blockhashes = list(dict.fromkeys(transaction.blockhash for transaction in transactions))
        at_hand = self._programs.versions(accounts)
        loaded = self.ledger.load(signatures, blockhashes, accounts, at_hand, most_bytes=most_bytes, turn=turn)
        self._programs.complete(loaded)
        return loaded


def _may_load(accounts: AccountAccess, loaded: LoadedState) -> bool:
    """Whether all that the transaction loads stays within what Solana lets it."""
    reads = accounts.reads()
    if not loaded.has(reads):
        return False
    return sum(len(loaded.records.get(key, b"")) for key in reads) <= MAX_LOADED_BYTES + len(reads) * HEADER_SIZE


def _expired(transaction: SignedTransaction, reads: Sequence[bytes] = ()) -> CommitRequest:
    """An outcome without a fee: nothing can make it valid again."""
    result = pack_result(Result(BLOCKHASH_NOT_FOUND, 0, 0, []))
    return CommitRequest(
        transaction.signature, transaction.message_hash, None, reads, 0, False, result, transaction.raw, {}
    )


def _told(transaction: SignedTransaction, err: str) -> CommitRequest:
    """A refusal without a fee, which is no outcome."""
    return CommitRequest(
        transaction.signature,
        transaction.message_hash,
        None,
        (),
        0,
        False,
        pack_refusal(err),
        transaction.raw,
        {},
        refused=True,
    )


def _follow(
    transactions: Sequence[SignedTransaction],
    static: Mapping[bytes, AccountAccess],
    access: dict[bytes, AccountAccess],
    records: Mapping[bytes, bytes],
) -> dict[bytes, None]:
    """Add to `access` what lookup tables and upgradeable programs name, as `records` have it; returns those keys."""
    # Asked once of each record, and not once of each transaction that names it: most batches have none of either.
    code = {key: data for key, record in records.items() if (data := program_data_key(record)) is not None}
    needed: dict[bytes, None] = {}
    for transaction in transactions:
        if not code and not transaction.lookups:
            access[transaction.signature] = static[transaction.signature]
            continue
        named = with_lookups(transaction, static[transaction.signature], records)
        called = [code[key] for key in named.keys if key in code]
        if called:
            named = replace(named, implied=tuple(dict.fromkeys((*named.implied, *called))))
        access[transaction.signature] = named
        needed.update(dict.fromkeys(named.reads()))
    return needed
