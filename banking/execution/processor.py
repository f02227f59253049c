"""From the payload of a message to outcomes: what a worker does with a batch, knowing nothing of Celery."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from banking.errors import InvalidTransaction, LedgerMissing
from banking.execution.batch import BatchReport
from banking.execution.stage import BankingStage
from banking.intake.dead_letters import TransactionDeadLetters
from banking.intake.intake import Intake
from banking.transaction import PACKET_BYTES, SignedTransaction, VerifiedTransaction, check_signatures, decode, parse
from recovery import crash_points
from recovery.dead_letters import DeadLettersFullError
from recovery.errors import TransientError
from recovery.retry.classification import is_retryable

logger = logging.getLogger(__name__)

#: Seconds until transactions that lost every round of a conflict come again.
CONFLICT_DELAY = 0.25
#: Seconds until transactions come again that found no room in the open slot; it closes early.
FULL_DELAY = 0.4
#: Seconds until a transaction comes again that full dead letters did not take.
NO_GRAVE_DELAY = 30.0
#: Most different reasons of dead letters that are told of one message.
_MAX_REASONS = 3


@dataclass(slots=True)
class BatchSummary:
    """What a message came to, in numbers of transactions."""

    committed: int = 0
    refused: int = 0
    duplicates: int = 0
    parked: int = 0
    dead: int = 0
    malformed: int = 0
    #: Why, of those in the dead letters.
    reasons: list[str] = field(default_factory=list)

    @property
    def given_up(self) -> int:
        """How many are in the dead letters now."""
        return self.dead + self.malformed

    def add_reason(self, reason: str) -> None:
        if reason not in self.reasons and len(self.reasons) < _MAX_REASONS:
            self.reasons.append(reason)

    def __str__(self) -> str:
        """The counts that are not 0. (A text, because Celery makes a safe copy of any other result for its log.)"""
        counts = (
            ("committed", self.committed),
            ("refused", self.refused),
            ("duplicate", self.duplicates),
            ("parked", self.parked),
            ("dead", self.dead),
            ("malformed", self.malformed),
        )
        told = ", ".join(f"{count} {name}" for name, count in counts if count) or "nothing"
        return f"{told}: {'; '.join(self.reasons)}" if self.reasons else told


@dataclass(frozen=True, slots=True)
class Malformed:
    """An item of a message that holds no transaction, and why."""

    item: object
    reason: str


@dataclass(frozen=True, slots=True)
class DecodedMessage:
    """The well-formed transactions of a message, and what was none."""

    transactions: list[SignedTransaction]
    malformed: list[Malformed]


def decode_message(payload: Sequence[object]) -> DecodedMessage:
    """Parse every item of a message; nothing is written.

    Signatures are checked later, where intake does not vouch for them.
    """
    found = DecodedMessage([], [])
    for item in payload:
        try:
            if not isinstance(item, str):
                raise InvalidTransaction(f"expected a base64 string, got {type(item).__name__}")
            found.transactions.append(parse(_raw(item)))
        except InvalidTransaction as error:
            found.malformed.append(Malformed(item, error.reason))
    return found


class Processor:
    """Runs messages: a batch whole, a redelivered one transaction by transaction."""

    def __init__(
        self,
        stage: BankingStage,
        intake: Intake,
        dead_letters: TransactionDeadLetters,
        *,
        max_attempts: int = 3,
        on_full: Callable[[], object] = lambda: None,
    ) -> None:
        self.stage = stage
        self.intake = intake
        self._dead_letters = dead_letters
        self._max_attempts = max_attempts
        #: Told when the open slot had no room left: it is due, whatever its age.
        self._on_full = on_full
        self._overdue_ends: list[bytes] = []

    def reject(self, malformed: Sequence[Malformed]) -> BatchSummary:
        """Keep what held no transaction as dead letters: nobody is left to be told. Returns how many there were."""
        done = BatchSummary()
        for item in malformed:
            self._reject_malformed(item.item, item.reason, done)
        return done

    def run(
        self,
        transactions: Sequence[SignedTransaction],
        *,
        enqueued_at: int,
        isolate: bool,
        done: BatchSummary | None = None,
    ) -> BatchSummary:
        """Bring `transactions` to their outcomes or back into intake; returns `done`, in which they are counted.

        `enqueued_at` is Redis time in milliseconds (0 = unknown). With `isolate` each runs alone and is counted
        before it does, so that one which kills its worker is found. Raises what `BankingStage.process` raises, all
        transient; a transaction that cannot be run for any other reason becomes a dead letter, and only that one.
        """
        done = done or BatchSummary()
        self._end_overdue()
        if isolate:
            self._run_one_by_one(transactions, done, enqueued_at)
        else:
            self._run_batch(transactions, done, enqueued_at)
        return done

    def park(self, transactions: Sequence[SignedTransaction], delay: float, done: BatchSummary) -> None:
        """Put `transactions` off for `delay` seconds, and count them in `done`."""
        genuine = self._genuine(transactions, done)
        done.parked += self.intake.park([(transaction.signature, transaction.raw) for transaction in genuine], delay)

    def _run_batch(self, transactions: Sequence[SignedTransaction], done: BatchSummary, enqueued_at: int) -> None:
        try:
            suspects = [transaction for transaction, _ in self._execute(transactions, done, enqueued_at).broken]
        except Exception as error:
            if is_retryable(error) or isinstance(error, LedgerMissing):
                raise
            logger.exception("A batch of %d cannot be run; its transactions run one by one", len(transactions))
            suspects = list(transactions)
        if suspects:
            self._run_one_by_one(suspects, done, enqueued_at)

    def _execute(self, transactions: Sequence[SignedTransaction], done: BatchSummary, enqueued_at: int) -> BatchReport:
        if crash_points.armed():
            for transaction in transactions:
                crash_points.reach(f"execute.{transaction.parsed.signatures[0]}")
        report = self.stage.process(transactions, enqueued_at=enqueued_at)
        crash_points.reach("processor.committed")
        done.committed += len(report.committed)
        done.refused += len(report.refused)
        done.duplicates += len(report.duplicates)
        for transaction in report.invalid:
            self._reject_forged(transaction, done)
        if report.conflicts:
            self.park(report.conflicts, CONFLICT_DELAY, done)
        if report.full:
            self.park(report.full, FULL_DELAY, done)
            self._on_full()
        return report

    def _run_one_by_one(self, transactions: Sequence[SignedTransaction], done: BatchSummary, enqueued_at: int) -> None:
        # Before anything of them is written to intake, which vouches for what it holds.
        transactions = self._genuine(transactions, done)
        if not transactions:
            return
        counts = self.intake.examine([(transaction.signature, transaction.raw) for transaction in transactions])
        waiting = [
            (count, transaction) for count, transaction in zip(counts, transactions, strict=True) if count is not None
        ]
        done.duplicates += len(transactions) - len(waiting)
        # Those that were never seen to die go first: a killer must not keep the others waiting.
        for _, transaction in sorted(waiting, key=lambda pair: pair[0]):
            self._run_suspect(transaction, done, enqueued_at)

    def _run_suspect(self, transaction: SignedTransaction, done: BatchSummary, enqueued_at: int) -> None:
        attempt = self.intake.begin_attempt(transaction.signature)
        if attempt is None:
            done.duplicates += 1
            return
        if attempt > self._max_attempts:
            self._give_up(transaction, f"worker died {attempt - 1} times while running it", attempt - 1, done)
            return
        try:
            report = self._execute([transaction], done, enqueued_at)
            for _, error in report.broken:
                raise error
        except Exception as error:
            if not is_retryable(error) and not isinstance(error, LedgerMissing):
                logger.exception("Transaction %s cannot be run", transaction.parsed.signatures[0])
                self._give_up(transaction, f"{type(error).__name__}: {error}"[:500], attempt, done)
                return
            # An error that can be told is no killing; only silent ends count.
            self._end_attempt(transaction.signature)
            raise
        if report.conflicts or report.full:
            self._end_attempt(transaction.signature)

    def _give_up(self, transaction: SignedTransaction, reason: str, attempts: int, done: BatchSummary) -> None:
        logger.error("Transaction %s is given up: %s", transaction.parsed.signatures[0], reason)
        try:
            if self._dead_letters.add(transaction.signature, transaction.raw, reason, attempts):
                done.dead += 1
                done.add_reason(reason)
        except DeadLettersFullError:
            logger.critical("Dead letters are full: %s waits in intake for room", transaction.parsed.signatures[0])
            done.parked += self.intake.park([(transaction.signature, transaction.raw)], NO_GRAVE_DELAY)

    def _end_attempt(self, signature: bytes) -> None:
        try:
            self.intake.end_attempt(signature)
        except TransientError:
            # The ledger's outage is not the transaction's fault: take the count back once there is a ledger again.
            self._overdue_ends.append(signature)

    def _end_overdue(self) -> None:
        while self._overdue_ends:
            self.intake.end_attempt(self._overdue_ends[-1])
            self._overdue_ends.pop()

    def _genuine(self, transactions: Sequence[SignedTransaction], done: BatchSummary) -> list[VerifiedTransaction]:
        """Those whose signatures are right; the others become dead letters."""
        genuine = []
        for transaction in transactions:
            try:
                genuine.append(check_signatures(transaction))
            except InvalidTransaction:
                self._reject_forged(transaction, done)
        return genuine

    def _reject_forged(self, transaction: SignedTransaction, done: BatchSummary) -> None:
        self._reject_malformed(base64.b64encode(transaction.raw).decode(), "SignatureFailure", done)

    def _reject_malformed(self, item: object, reason: str, done: BatchSummary) -> None:
        done.malformed += 1
        done.add_reason(reason)
        payload = item.encode() if isinstance(item, str) else repr(item).encode()
        name = b"malformed-" + hashlib.sha256(payload).hexdigest()[:32].encode()
        logger.error("A message held no transaction (%s); kept as dead letter %s", reason, name.decode())
        try:
            # Keep a bounded piece: it is evidence, not work.
            self._dead_letters.add_foreign(name, payload[: 4 * PACKET_BYTES], reason)
        except DeadLettersFullError:
            # Said by the dead letters already; the transactions beside it must not suffer for it.
            logger.critical("Dead letters are full: %r is lost", payload[:200])


def _raw(text: str) -> bytes:
    # The common case first: what submit() sends is base64.
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return decode(text)
