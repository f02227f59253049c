"""From the payload of a message to outcomes: what a worker does with a batch, knowing nothing of Celery."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from banking.errors import InvalidTransaction, LedgerMissing
from banking.execution.batch import BatchReport
from banking.execution.places import Place, places_text
from banking.execution.stage import BankingStage, OpenedBatch
from banking.intake.dead_letters import TransactionDeadLetters
from banking.intake.intake import Intake
from banking.transaction import (
    PACKET_BYTES,
    AcceptedTransaction,
    SignedTransaction,
    VerifiedTransaction,
    check_signatures,
    decode,
    parse,
)
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
FULL_DEAD_LETTERS_DELAY = 30.0
#: Most different reasons of dead letters that a summary names.
_MAX_REASONS = 3


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """What a message came to, in numbers of transactions. Summaries of the parts of a message add up."""

    committed: int = 0
    refused: int = 0
    duplicates: int = 0
    parked: int = 0
    dead: int = 0
    malformed: int = 0
    #: Why, of those in the dead letters: the first few different reasons.
    reasons: tuple[str, ...] = ()
    #: Where the outcomes of those committed stand, and how many of them are errors, by kind.
    places: tuple[Place, ...] = ()
    kinds: tuple[tuple[str, int], ...] = ()
    #: Executions that lost their accounts to others.
    conflicted: int = 0

    @property
    def given_up(self) -> int:
        """How many are in the dead letters now."""
        return self.dead + self.malformed

    def __add__(self, other: BatchSummary) -> BatchSummary:
        return BatchSummary(
            committed=self.committed + other.committed,
            refused=self.refused + other.refused,
            duplicates=self.duplicates + other.duplicates,
            parked=self.parked + other.parked,
            dead=self.dead + other.dead,
            malformed=self.malformed + other.malformed,
            reasons=tuple(dict.fromkeys(self.reasons + other.reasons))[:_MAX_REASONS],
            places=self.places + other.places,
            kinds=self.kinds + other.kinds,
            conflicted=self.conflicted + other.conflicted,
        )

    @property
    def failed(self) -> dict[str, int]:
        """How many of those committed failed on chain, by kind."""
        counts: dict[str, int] = {}
        for kind, count in self.kinds:
            counts[kind] = counts.get(kind, 0) + count
        return counts

    @property
    def whole_text(self) -> str:
        """The counts, which kinds of errors there are among them, and where the outcomes stand."""
        return "; ".join(filter(None, (str(self), places_text(self.places, self.failed))))

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
        text = ", ".join(f"{count} {name}" for name, count in counts if count) or "nothing"
        return f"{text}: {'; '.join(self.reasons)}" if self.reasons else text


#: The summary of no transactions, from which a sum begins.
NOTHING = BatchSummary()


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
    decoded = DecodedMessage([], [])
    for item in payload:
        try:
            if not isinstance(item, str):
                raise InvalidTransaction(f"expected a base64 string, got {type(item).__name__}")
            decoded.transactions.append(parse(_raw(item)))
        except InvalidTransaction as error:
            decoded.malformed.append(Malformed(item, error.reason))
    return decoded


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
        """Keep what held no transaction as dead letters: nobody is left to be told."""
        return sum((self._reject_malformed(item.item, item.reason) for item in malformed), NOTHING)

    def run(self, transactions: Sequence[SignedTransaction], *, enqueued_at: int, isolate: bool) -> BatchSummary:
        """Bring `transactions` to their outcomes or back into intake.

        `enqueued_at` is Redis time in milliseconds (0 = unknown). With `isolate` each runs alone and is counted
        before it does, so that one which kills its worker is found. Raises what `BankingStage.process` raises, all
        transient; a transaction that cannot be run for any other reason becomes a dead letter, and only that one.
        """
        self._end_overdue()
        if isolate:
            return self._run_one_by_one(transactions, enqueued_at)
        return self._run_batch(transactions, enqueued_at)

    def run_accepted(
        self,
        batch: bytes,
        count: int,
        *,
        enqueued_at: int,
        isolate: bool,
        begin: Callable[[Sequence[SignedTransaction]], object] = lambda _: None,
    ) -> BatchSummary:
        """As `run`, for the `count` transactions that intake holds as `batch`; `begin` is told of them first.

        What has left the batch is counted as a duplicate: it has its end, or goes by itself.
        """
        self._end_overdue()
        opened = None if isolate else self.stage.open_batch(batch)
        if opened is not None:
            begin(opened.transactions)
            return self._run_batch(opened.transactions, enqueued_at, opened)
        rest = self.intake.dissolve(batch)
        begin(rest)
        gone = BatchSummary(duplicates=max(0, count - len(rest)))
        if not rest:
            return gone
        return gone + (self._run_one_by_one if isolate else self._run_batch)(rest, enqueued_at)

    def park(self, transactions: Sequence[SignedTransaction], delay: float) -> BatchSummary:
        """Put `transactions` off for `delay` seconds. Forged ones become dead letters instead."""
        genuine, summary = self._genuine(transactions)
        parked = self.intake.park([(transaction.signature, transaction.raw) for transaction in genuine], delay)
        return summary + BatchSummary(parked=parked)

    def _run_batch(
        self, transactions: Sequence[SignedTransaction], enqueued_at: int, opened: OpenedBatch | None = None
    ) -> BatchSummary:
        summary = NOTHING
        try:
            report, summary = self._execute(transactions, enqueued_at, opened)
            suspects = [transaction for transaction, _ in report.broken]
        except Exception as error:
            if is_retryable(error) or isinstance(error, LedgerMissing):
                raise
            logger.exception("A batch of %d cannot be run; its transactions run one by one", len(transactions))
            suspects = list(transactions)
        return summary + self._run_one_by_one(suspects, enqueued_at) if suspects else summary

    def _execute(
        self, transactions: Sequence[SignedTransaction], enqueued_at: int, opened: OpenedBatch | None = None
    ) -> tuple[BatchReport, BatchSummary]:
        if crash_points.armed():
            for transaction in transactions:
                crash_points.reach(f"execute.{transaction.parsed.signatures[0]}")
        report = self.stage.process(transactions, enqueued_at=enqueued_at, opened=opened)
        crash_points.reach("processor.committed")
        summary = BatchSummary(
            committed=len(report.committed),
            refused=len(report.refused),
            duplicates=len(report.duplicates),
            places=tuple(report.places),
            kinds=tuple(report.kinds.items()),
            conflicted=report.conflicted,
        )
        for transaction in report.invalid:
            summary += self._reject_forged(transaction)
        if report.conflicts:
            summary += self.park(report.conflicts, CONFLICT_DELAY)
        if report.full:
            summary += self.park(report.full, FULL_DELAY)
            self._on_full()
        return report, summary

    def _run_one_by_one(self, transactions: Sequence[SignedTransaction], enqueued_at: int) -> BatchSummary:
        # Before anything of them is written to intake, which vouches for what it holds.
        genuine, summary = self._genuine(transactions)
        if not genuine:
            return summary
        counts = self.intake.examine([(transaction.signature, transaction.raw) for transaction in genuine])
        waiting = [
            (count, transaction) for count, transaction in zip(counts, genuine, strict=True) if count is not None
        ]
        summary += BatchSummary(duplicates=len(genuine) - len(waiting))
        # Those that were never seen to die go first: a killer must not keep the others waiting.
        for _, transaction in sorted(waiting, key=lambda pair: pair[0]):
            summary += self._run_suspect(transaction, enqueued_at)
        return summary

    def _run_suspect(self, transaction: SignedTransaction, enqueued_at: int) -> BatchSummary:
        attempt = self.intake.begin_attempt(transaction.signature)
        if attempt is None:
            return BatchSummary(duplicates=1)
        if attempt > self._max_attempts:
            return self._give_up(transaction, f"worker died {attempt - 1} times while running it", attempt - 1)
        try:
            report, summary = self._execute([transaction], enqueued_at)
            for _, error in report.broken:
                raise error
        except Exception as error:
            if not is_retryable(error) and not isinstance(error, LedgerMissing):
                logger.exception("Transaction %s cannot be run", transaction.parsed.signatures[0])
                return self._give_up(transaction, f"{type(error).__name__}: {error}"[:500], attempt)
            # An error that can be told is no killing; only silent ends count.
            self._end_attempt(transaction.signature)
            raise
        if report.conflicts or report.full:
            self._end_attempt(transaction.signature)
        return summary

    def _give_up(self, transaction: SignedTransaction, reason: str, attempts: int) -> BatchSummary:
        logger.error("Transaction %s is given up: %s", transaction.parsed.signatures[0], reason)
        try:
            added = self._dead_letters.add(
                transaction.signature, transaction.raw, reason, attempts, transaction.message_hash
            )
        except DeadLettersFullError:
            logger.critical("Dead letters are full: %s waits in intake for room", transaction.parsed.signatures[0])
            parked = self.intake.park([(transaction.signature, transaction.raw)], FULL_DEAD_LETTERS_DELAY)
            return BatchSummary(parked=parked)
        return BatchSummary(dead=1, reasons=(reason,)) if added else NOTHING

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

    def _genuine(
        self, transactions: Sequence[SignedTransaction]
    ) -> tuple[list[VerifiedTransaction | AcceptedTransaction], BatchSummary]:
        """Those whose signatures are right, and the summary of the others, which become dead letters."""
        genuine, forged = [], NOTHING
        for transaction in transactions:
            try:
                genuine.append(check_signatures(transaction))
            except InvalidTransaction:
                forged += self._reject_forged(transaction)
        return genuine, forged

    def _reject_forged(self, transaction: SignedTransaction) -> BatchSummary:
        return self._reject_malformed(base64.b64encode(transaction.raw).decode(), "SignatureFailure")

    def _reject_malformed(self, item: object, reason: str) -> BatchSummary:
        payload = item.encode() if isinstance(item, str) else repr(item).encode()
        name = b"malformed-" + hashlib.sha256(payload).hexdigest()[:32].encode()
        logger.error("A message held no transaction (%s); kept as dead letter %s", reason, name.decode())
        try:
            # Keep a bounded piece: it is evidence, not work.
            self._dead_letters.add_foreign(name, payload[: 4 * PACKET_BYTES], reason)
        except DeadLettersFullError:
            # Said by the dead letters already; the transactions beside it must not suffer for it.
            logger.critical("Dead letters are full: %r is lost", payload[:200])
        return BatchSummary(malformed=1, reasons=(reason,))


def _raw(text: str) -> bytes:
    # The common case first: what submit() sends is base64.
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return decode(text)
