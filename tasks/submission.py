"""The producer's side: from signed transactions to intake and Celery messages."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice

from celery import Celery

from banking.errors import InvalidTransaction, LedgerMissing, LedgerRestoring, LedgerUnavailable, StaleEpoch
from banking.from_settings import letter_limits
from banking.intake.intake import MAX_AT_ONCE, Acceptance, Accepted, Intake
from banking.intake.reasons import Reason
from banking.ledger.connections import ledger_client
from banking.ledger.ledger import Ledger
from banking.transaction import TransactionInput, VerifiedTransaction, decode, verify
from config.app import app as default_app
from config.settings import Settings, get_settings
from recovery import crash_points
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.degradation import DegradationManager
from recovery.degradation.errors import OperationRefused
from tasks import transaction_log
from tasks.acceptance_receipts import receipt_of
from tasks.enqueue import BrokerUnavailable, enqueue, enqueue_batches
from tasks.modes import open_modes
from tasks.outcomes import OutcomeWaiter, Wait
from tasks.receipts import Receipt, Verdict
from tasks.restore_patience import RestorePatience

logger = logging.getLogger(__name__)

#: Seconds without another try once the broker did not take messages: each try may last as long as its timeouts.
_BROKER_PAUSE = 5.0


class SubmissionFailed(LedgerUnavailable):
    """The ledger's Redis went away during `submit`.

    `receipts` are those of the transactions before the failure. What was cut off was either recorded whole or not
    at all; submit it again, duplicates are recognised.
    """

    def __init__(self, message: str, receipts: list[Receipt]) -> None:
        super().__init__(message)
        self.receipts = receipts


class Submitter:
    """Submits to one ledger through one Celery app."""

    def __init__(
        self,
        ledger: Ledger,
        app: Celery,
        settings: Settings,
        *,
        clock: Clock = SYSTEM_CLOCK,
        modes: DegradationManager | None = None,
    ) -> None:
        self.ledger = ledger
        self._intake = Intake(
            ledger,
            limit=settings.intake.limit,
            unsealed_limit=settings.intake.unsealed_limit,
            letters=letter_limits(settings),
        )
        self._settings = settings
        self._modes = modes
        self._app = app
        self._batch_size = settings.intake.batch_size
        self._clock = clock
        self._broker_again_at = 0.0
        self._patience = RestorePatience(clock)
        self._outcomes = OutcomeWaiter(ledger, self._patience, clock)

    def submit(
        self, transactions: Iterable[TransactionInput], *, wait: Wait | None = None, timeout: float = 60.0
    ) -> list[Receipt]:
        """A receipt for each transaction, in order.

        With `wait` it returns once each accepted or duplicate one has its outcome (`"processed"`), and that is in
        the archive (`"finalized"`), or after `timeout` seconds with lower levels for the rest. While the intake is
        degraded each is rejected with the reason. Raises SubmissionFailed when the ledger does not answer, or is
        still being restored after some seconds.
        """
        receipts: list[Receipt] = []
        source = iter(transactions)
        while chunk := list(islice(source, MAX_AT_ONCE)):
            try:
                receipts += self._submit_chunk(chunk)
            except (LedgerUnavailable, LedgerRestoring, LedgerMissing) as error:
                if isinstance(error, LedgerMissing) and not self._patience.ledger_seen:
                    raise
                message = (
                    f"{_explain(error)}. {sum(r.accepted for r in receipts)} transactions were accepted before that."
                )
                raise SubmissionFailed(message, receipts) from error
        return self.wait_for(receipts, timeout=timeout, level=wait) if wait else receipts

    def submit_verified(self, transactions: Sequence[VerifiedTransaction]) -> list[Receipt]:
        """As `submit`, for at most 256 transactions.

        Raises LedgerUnavailable, LedgerRestoring, LedgerMissing.
        """
        refusal = self._refusal()
        if refusal:
            receipts = [
                Receipt(Verdict.REJECTED, _name(transaction), refusal, code=Reason.DEGRADED)
                for transaction in transactions
            ]
        else:
            receipts = [
                receipt_of(_name(transaction), answer)
                for transaction, answer in zip(transactions, self._accept(transactions), strict=True)
            ]
        transaction_log.received(receipts)
        return receipts

    def wait_for(self, receipts: Sequence[Receipt], *, timeout: float, level: Wait = "processed") -> list[Receipt]:
        """The receipts with the outcomes that are known within `timeout` seconds, waiting for `level`."""
        return self._outcomes.wait_for(receipts, timeout=timeout, level=level)

    def _refusal(self) -> str:
        """Why the intake takes nothing now, "" when it does."""
        if self._modes is None:
            self._modes = open_modes(self._settings)
        try:
            self._modes.check("intake", "WRITE")
        except OperationRefused as error:
            return str(error)
        return ""

    def _submit_chunk(self, chunk: Sequence[TransactionInput]) -> list[Receipt]:
        checked = [_check(transaction) for transaction in chunk]
        transactions = [item for item in checked if isinstance(item, VerifiedTransaction)]
        transaction_log.received([item for item in checked if isinstance(item, Receipt)])
        receipts = iter(self.submit_verified(transactions) if transactions else [])
        return [item if isinstance(item, Receipt) else next(receipts) for item in checked]

    def _accept(self, transactions: Sequence[VerifiedTransaction]) -> list[Acceptance]:
        answers: list[Acceptance] = []
        for first in range(0, len(transactions), self._batch_size):
            some = transactions[first : first + self._batch_size]
            crash_points.reach("accept.checked")
            accepted = self._accept_in_current_epoch(some)
            answers += accepted.answers
            crash_points.reach("accept.recorded")
            self._enqueue(some, accepted)
            crash_points.reach("accept.enqueued")
        return answers

    def _enqueue(self, transactions: Sequence[VerifiedTransaction], accepted: Accepted) -> None:
        if self._clock.monotonic() < self._broker_again_at:
            return
        try:
            if accepted.batch:
                enqueue_batches(self._app, [(accepted.batch, len(transactions))], enqueued_at=accepted.at)
            else:
                pairs = zip(transactions, accepted.answers, strict=True)
                raws = [transaction.raw for transaction, answer in pairs if answer is Acceptance.ACCEPTED]
                enqueue(self._app, raws, batch_size=self._batch_size, enqueued_at=accepted.at)
        except BrokerUnavailable as error:
            self._broker_again_at = self._clock.monotonic() + _BROKER_PAUSE
            logger.warning(
                "Transactions are accepted, but %s. The sweeper will enqueue them, and those of the next %g s.",
                error,
                _BROKER_PAUSE,
            )

    def _accept_in_current_epoch(self, transactions: Sequence[VerifiedTransaction]) -> Accepted:
        def accept() -> Accepted:
            try:
                return self._intake.accept_batch(transactions)
            except StaleEpoch:
                # Restored meanwhile; the ledger has looked the new epoch up.
                return self._intake.accept_batch(transactions)

        accepted = self._patience.call(accept)
        self._patience.ledger_seen = True
        return accepted


def _check(transaction: TransactionInput) -> VerifiedTransaction | Receipt:
    try:
        return verify(decode(transaction))
    except InvalidTransaction as error:
        return Receipt(Verdict.REJECTED, None, error.reason, code=error.code)


def _explain(error: Exception) -> str:
    if isinstance(error, LedgerMissing):
        return "Redis has lost the ledger; a running worker restores it from the archive"
    return str(error)


def _name(transaction: VerifiedTransaction) -> str:
    return str(transaction.parsed.signatures[0])


@lru_cache(maxsize=1)
def default_submitter() -> Submitter:
    """The submitter of this process's settings. Raises ConfigurationError when no instance is known."""
    settings = get_settings()
    return Submitter(Ledger(ledger_client(settings), settings.ledger.name), default_app, settings)


def submit(
    transactions: Iterable[TransactionInput], *, wait: Wait | None = None, timeout: float = 60.0
) -> list[Receipt]:
    """Submit signed transactions (bytes, base64 or base58 text, `VersionedTransaction`) to the configured ledger.

    Returns a receipt for each: accepted, duplicate or rejected with a reason. See `Submitter.submit`.
    """
    return default_submitter().submit(transactions, wait=wait, timeout=timeout)
