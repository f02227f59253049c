"""The producer's side: from signed transactions to intake and Celery messages."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import islice
from typing import Any, Literal

from celery import Celery
from solders.signature import Signature

from banking.errors import InvalidTransaction, LedgerMissing, LedgerRestoring, LedgerUnavailable, StaleEpoch
from banking.from_settings import letter_limits
from banking.intake.intake import MAX_AT_ONCE, Acceptance, Accepted, Intake
from banking.intake.reasons import Reason
from banking.ledger.connections import ledger_client
from banking.ledger.ledger import Ledger
from banking.ledger.records import Outcome
from banking.transaction import TransactionInput, VerifiedTransaction, decode, verify
from config.app import app as default_app
from config.settings import Settings, get_settings
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.degradation import DegradationManager
from recovery.degradation.errors import OperationRefused
from tasks import transaction_log
from tasks.enqueue import BrokerUnavailable, enqueue
from tasks.modes import open_modes
from tasks.receipts import Receipt, Verdict

logger = logging.getLogger(__name__)

Wait = Literal["processed", "finalized"]

#: What a receipt says of each answer of intake but ACCEPTED.
_ANSWERS = {
    Acceptance.DUPLICATE_PENDING: (Verdict.DUPLICATE, Reason.PENDING, "accepted before, not yet processed"),
    Acceptance.DUPLICATE_RESOLVED: (Verdict.DUPLICATE, Reason.PROCESSED, "processed before"),
    Acceptance.DUPLICATE_DEAD: (
        Verdict.DUPLICATE,
        Reason.DEAD_LETTER,
        "in the dead letters; `trunkline deadletter replay` runs it again",
    ),
    Acceptance.FULL: (
        Verdict.REJECTED,
        Reason.INTAKE_FULL,
        "intake is full: too many unresolved transactions; submit again later",
    ),
    Acceptance.UNSEALED: (
        Verdict.REJECTED,
        Reason.ARCHIVE_BEHIND,
        "the archive cannot keep up: too many outcomes are not in it yet; submit again later",
    ),
    Acceptance.LETTERS_FULL: (
        Verdict.REJECTED,
        Reason.DEAD_LETTERS_FULL,
        "the dead letters are full; an operator must replay or drop some (`trunkline deadletter`)",
    ),
}
_POLL_SECONDS = 0.05
#: Seconds for which `submit` and `wait_for` wait for a ledger that is being restored.
_RESTORE_PATIENCE = 5.0
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
            limit=settings.intake_limit,
            unsealed_limit=settings.unsealed_limit,
            letters=letter_limits(settings),
        )
        self._settings = settings
        self._modes = modes
        self._knew_ledger = False
        self._app = app
        self._batch_size = settings.batch_size
        self._clock = clock
        self._broker_again_at = 0.0

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
                if isinstance(error, LedgerMissing) and not self._knew_ledger:
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
                _receipt(transaction, answer)
                for transaction, answer in zip(transactions, self._accept(transactions), strict=True)
            ]
        transaction_log.received(receipts)
        return receipts

    def wait_for(self, receipts: Sequence[Receipt], *, timeout: float, level: Wait = "processed") -> list[Receipt]:
        """The receipts with the outcomes that are known within `timeout` seconds, waiting for `level`."""
        deadline = self._clock.monotonic() + timeout
        seen: dict[str, tuple[Outcome, bool]] = {}
        refused: dict[str, str] = {}
        waiting = list(dict.fromkeys(r.signature for r in receipts if _has_outcome(r)))
        while waiting:
            found = self._settled([name for name in waiting if name])
            # What was seen and is no more (Redis was lost before its block was written) is waited for again.
            seen = {name: pair for name, pair in seen.items() if name not in waiting} | found
            waiting = [name for name in waiting if name not in found or (level == "finalized" and not found[name][1])]
            refused |= self._refused([name for name in waiting if name and name not in found])
            waiting = [name for name in waiting if name not in refused]
            if not waiting or self._clock.monotonic() >= deadline:
                break
            self._clock.sleep(_POLL_SECONDS)
        return [_with_outcome(receipt, seen.get(receipt.signature or ""), refused) for receipt in receipts]

    def _settled(self, names: Sequence[str]) -> dict[str, tuple[Outcome, bool]]:
        found: dict[str, tuple[Outcome, bool]] = {}
        for first in range(0, len(names), 1000):
            page = names[first : first + 1000]
            signatures = [bytes(Signature.from_string(name)) for name in page]
            answers = self._retry_while_restoring(partial(self.ledger.settled, signatures))
            found |= {name: pair for name, pair in zip(page, answers, strict=True) if pair}
        return found

    def _refused(self, names: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for first in range(0, len(names), 1000):
            page = names[first : first + 1000]
            signatures = [bytes(Signature.from_string(name)) for name in page]
            answers = self._retry_while_restoring(partial(self.ledger.refusals, signatures))
            found |= {name: err for name, err in zip(page, answers, strict=True) if err}
        return found

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
        pairs = [(transaction.signature, transaction.raw) for transaction in transactions]
        accepted = self._accept_in_current_epoch(pairs)
        raws = [
            transaction.raw
            for transaction, answer in zip(transactions, accepted.answers, strict=True)
            if answer is Acceptance.ACCEPTED
        ]
        self._enqueue(raws, accepted.at)
        return accepted.answers

    def _enqueue(self, raws: Sequence[bytes], accepted_at: int) -> None:
        if self._clock.monotonic() < self._broker_again_at:
            return
        try:
            enqueue(self._app, raws, batch_size=self._batch_size, enqueued_at=accepted_at)
        except BrokerUnavailable as error:
            self._broker_again_at = self._clock.monotonic() + _BROKER_PAUSE
            logger.warning(
                "Transactions are accepted, but %s. The sweeper will enqueue them, and those of the next %g s.",
                error,
                _BROKER_PAUSE,
            )

    def _accept_in_current_epoch(self, pairs: Sequence[tuple[bytes, bytes]]) -> Accepted:
        def accept() -> Accepted:
            try:
                return self._intake.accept(pairs)
            except StaleEpoch:
                # Restored meanwhile; the ledger has looked the new epoch up.
                return self._intake.accept(pairs)

        accepted: Accepted = self._retry_while_restoring(accept)
        self._knew_ledger = True
        return accepted

    def _retry_while_restoring(self, call: Callable[[], Any]) -> Any:
        """`call()`, again for some seconds while the ledger is being restored: that is over soon, or not for long."""
        deadline = self._clock.monotonic() + _RESTORE_PATIENCE
        while True:
            try:
                return call()
            except (LedgerRestoring, LedgerMissing) as error:
                lost = isinstance(error, LedgerRestoring) or self._knew_ledger
                if not lost or self._clock.monotonic() >= deadline:
                    raise
            self._clock.sleep(_POLL_SECONDS)


def _check(transaction: TransactionInput) -> VerifiedTransaction | Receipt:
    try:
        return verify(decode(transaction))
    except InvalidTransaction as error:
        return Receipt(Verdict.REJECTED, None, error.reason, code=error.code)


def _receipt(transaction: VerifiedTransaction, answer: Acceptance) -> Receipt:
    signature = _name(transaction)
    if answer is Acceptance.ACCEPTED:
        return Receipt(Verdict.ACCEPTED, signature)
    verdict, code, text = _ANSWERS[answer]
    return Receipt(verdict, signature, text, code=code)


def _explain(error: Exception) -> str:
    if isinstance(error, LedgerMissing):
        return "Redis has lost the ledger; a running worker restores it from the archive"
    return str(error)


def _name(transaction: VerifiedTransaction) -> str:
    return str(transaction.parsed.signatures[0])


def _with_outcome(receipt: Receipt, found: tuple[Outcome, bool] | None, refused: dict[str, str]) -> Receipt:
    if receipt.verdict is Verdict.REJECTED:
        return receipt
    if found is None:
        err = refused.get(receipt.signature or "")
        return receipt if err is None else replace(receipt, code=Reason.REFUSED, reason=err)
    return replace(receipt, outcome=found[0], finalized=found[1])


def _has_outcome(receipt: Receipt) -> bool:
    return receipt.verdict is not Verdict.REJECTED and receipt.signature is not None


@lru_cache(maxsize=1)
def default_submitter() -> Submitter:
    """The submitter of this process's settings. Raises ConfigurationError when no instance is known."""
    settings = get_settings()
    return Submitter(Ledger(ledger_client(settings), settings.ledger), default_app, settings)


def submit(
    transactions: Iterable[TransactionInput], *, wait: Wait | None = None, timeout: float = 60.0
) -> list[Receipt]:
    """Submit signed transactions (bytes, base64 or base58 text, `VersionedTransaction`) to the configured ledger.

    Returns a receipt for each: accepted, duplicate or rejected with a reason. See `Submitter.submit`.
    """
    return default_submitter().submit(transactions, wait=wait, timeout=timeout)
