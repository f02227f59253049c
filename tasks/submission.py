"""The producer's side: from signed transactions to intake and Celery messages."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from typing import Literal

from celery import Celery
from solders.signature import Signature

from banking.errors import InvalidTransaction, LedgerUnavailable, StaleEpoch
from banking.intake import MOST_AT_ONCE, Acceptance, Accepted, Intake
from banking.ledger import Ledger
from banking.records import Outcome
from banking.wire import TransactionInput, WireTransaction, decode, verify
from config.app import app as default_app
from config.clock import SYSTEM_CLOCK, Clock
from config.connections import ledger_client
from config.settings import Settings, get_settings
from tasks.enqueue import BrokerUnavailable, enqueue
from tasks.receipts import Receipt, Verdict

logger = logging.getLogger(__name__)

Wait = Literal["processed"]

_DUPLICATES = {
    Acceptance.DUPLICATE_PENDING: "accepted before, not yet processed",
    Acceptance.DUPLICATE_RESOLVED: "processed before",
    Acceptance.DUPLICATE_DEAD: "in the dead letters; `trunkline deadletter replay` runs it again",
}
_FULL = "intake is full: too many unresolved transactions; submit again later"
_POLL_SECONDS = 0.05
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

    def __init__(self, ledger: Ledger, app: Celery, settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.ledger = ledger
        self._intake = Intake(ledger, limit=settings.intake_limit)
        self._app = app
        self._batch_size = settings.batch_size
        self._clock = clock
        self._broker_again_at = 0.0

    def submit(
        self, transactions: Iterable[TransactionInput], *, wait: Wait | None = None, timeout: float = 60.0
    ) -> list[Receipt]:
        """A receipt for each transaction, in order.

        With `wait="processed"` it returns once each accepted or duplicate one has its outcome, or after `timeout`
        seconds with `outcome` None for the rest. Raises SubmissionFailed when the ledger does not answer.
        """
        receipts: list[Receipt] = []
        source = iter(transactions)
        while chunk := list(islice(source, MOST_AT_ONCE)):
            try:
                receipts += self._submit_chunk(chunk)
            except LedgerUnavailable as error:
                message = f"{error}. {sum(r.accepted for r in receipts)} transactions were accepted before that."
                raise SubmissionFailed(message, receipts) from error
        return self.wait_for(receipts, timeout=timeout) if wait else receipts

    def submit_verified(self, wires: Sequence[WireTransaction]) -> list[Receipt]:
        """As `submit`, for at most 256 transactions that `banking.wire.verify` has returned.

        Raises LedgerUnavailable.
        """
        return [_receipt(wire, answer) for wire, answer in zip(wires, self._accept(wires), strict=True)]

    def wait_for(self, receipts: Sequence[Receipt], *, timeout: float) -> list[Receipt]:
        """The receipts with the outcomes that are known within `timeout` seconds."""
        deadline = self._clock.monotonic() + timeout
        outcomes: dict[str, Outcome] = {}
        open_signatures = list(dict.fromkeys(r.signature for r in receipts if _has_outcome(r)))
        while open_signatures:
            found = self._outcomes([name for name in open_signatures if name])
            outcomes |= found
            open_signatures = [name for name in open_signatures if name not in found]
            if not open_signatures or self._clock.monotonic() >= deadline:
                break
            self._clock.sleep(_POLL_SECONDS)
        return [replace(r, outcome=outcomes.get(r.signature or "")) for r in receipts]

    def _outcomes(self, names: Sequence[str]) -> dict[str, Outcome]:
        found: dict[str, Outcome] = {}
        for first in range(0, len(names), 1000):
            some = names[first : first + 1000]
            answers = self.ledger.outcomes([bytes(Signature.from_string(name)) for name in some])
            found |= {name: outcome for name, outcome in zip(some, answers, strict=True) if outcome}
        return found

    def _submit_chunk(self, chunk: Sequence[TransactionInput]) -> list[Receipt]:
        checked = [_check(transaction) for transaction in chunk]
        wires = [item for item in checked if isinstance(item, WireTransaction)]
        answers = iter(self._accept(wires) if wires else [])
        return [item if isinstance(item, Receipt) else _receipt(item, next(answers)) for item in checked]

    def _accept(self, wires: Sequence[WireTransaction]) -> list[Acceptance]:
        pairs = [(wire.signature, wire.raw) for wire in wires]
        accepted = self._accept_in_current_epoch(pairs)
        raws = [wire.raw for wire, answer in zip(wires, accepted.answers, strict=True) if answer is Acceptance.ACCEPTED]
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
        try:
            return self._intake.accept(pairs)
        except StaleEpoch:
            # Restored meanwhile; the ledger has looked the new epoch up.
            return self._intake.accept(pairs)


def _check(transaction: TransactionInput) -> WireTransaction | Receipt:
    try:
        return verify(decode(transaction))
    except InvalidTransaction as error:
        return Receipt(Verdict.REJECTED, None, error.reason)


def _receipt(wire: WireTransaction, answer: Acceptance) -> Receipt:
    signature = str(wire.parsed.signatures[0])
    if answer is Acceptance.ACCEPTED:
        return Receipt(Verdict.ACCEPTED, signature)
    if answer is Acceptance.FULL:
        return Receipt(Verdict.REJECTED, signature, _FULL)
    return Receipt(Verdict.DUPLICATE, signature, _DUPLICATES[answer])


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
