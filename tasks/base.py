"""The base of the transaction tasks: what cannot run now goes back into intake instead of being lost."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from banking.errors import LedgerMissing, LedgerUnavailable, StaleEpoch
from banking.execution.processor import NOTHING, BatchSummary, Processor, decode_message
from banking.transaction import SignedTransaction
from recovery.clock import SYSTEM_CLOCK
from recovery.dead_letters import DeadLetters
from recovery.errors import Refused, TerminalError
from recovery.retry.classification import is_retryable
from recovery.retry.policy import RetryPolicy
from recovery.task.fault_tolerant_task import FaultTolerantTask
from tasks import transaction_log
from tasks.guards import TransactionBreaker, TransactionBudget, TransactionGate
from tasks.messages import BatchMessage
from tasks.runtime import runtime

logger = logging.getLogger(__name__)


class PutOff(Refused):
    """The ledger stayed away through all attempts. No transaction is given up for that: they wait."""


class DeadLettered(TerminalError):
    """Some of a message's transactions are dead letters; the others have their outcomes or wait in intake.

    All of it is recorded before this is raised, so the message is done with: it is acknowledged, and only its state
    says that something failed.
    """


class TransactionTask(FaultTolerantTask):
    """Runs a batch; parks it in intake when it must wait longer than a countdown should hold it."""

    abstract = True
    retry_policy = RetryPolicy.preset("network", deadline=None)
    component = "transactions"
    operation = "WRITE"
    gate = TransactionGate()
    breaker = TransactionBreaker()
    budget = TransactionBudget()
    #: Killers are found transaction by transaction (`Processor`), not message by message.
    max_redeliveries = None

    @property
    def dead_letters(self) -> DeadLetters:  # type: ignore[override]
        """Where messages go that are no transactions; the base class keeps here what it gives up."""
        return runtime().dead_letters.letters

    def process_batch(self, message: BatchMessage) -> str:
        """Decode and run; returns the counts of what became of the transactions, for the log and for Flower.

        Raises DeadLettered when a part of it was given up.
        """
        try:
            return _summary(self._counted(message))
        except LedgerMissing as error:
            # Emptied or not restored yet: no attempt can help until the ledger is restored, and nothing may be lost.
            raise PutOff(str(error), retry_after=self.park_delay) from error
        except Exception as error:
            if is_retryable(error) and self.request.retries + 1 >= self.retry_policy.max_attempts:
                raise PutOff(str(error), retry_after=self.park_delay) from error
            raise

    def _counted(self, message: BatchMessage) -> BatchSummary:
        parts = runtime()
        if parts.recorder is None:
            return self._process(message)
        began = SYSTEM_CLOCK.monotonic()
        summary = self._process(message)
        latency = parts.server_clock.age(message.enqueued_at) if message.enqueued_at else None
        parts.recorder.batch(summary, SYSTEM_CLOCK.monotonic() - began, latency)
        return summary

    def on_retry(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Celery's own hook: the task is tried again."""
        super().on_retry(exc, task_id, args, kwargs, einfo)
        if (counts := runtime().recorder) is not None:
            counts.retry(self.name)

    def _process(self, message: BatchMessage) -> BatchSummary:
        processor = runtime().processor
        redelivered = bool((self.request.delivery_info or {}).get("redelivered"))
        isolate = message.isolate or redelivered
        if message.batch:
            return self._process_accepted(message, isolate)
        transactions, rejected = _decode(processor, message.transactions)
        if not transactions:
            return rejected
        transaction_log.began(transactions)
        summary = rejected + processor.run(transactions, enqueued_at=message.enqueued_at, isolate=isolate)
        ledger = runtime().ledger
        transaction_log.ended(transactions, str(summary), ledger.settled, ledger.refusals)
        return summary

    def _process_accepted(self, message: BatchMessage, isolate: bool) -> BatchSummary:
        taken: list[SignedTransaction] = []

        def begin(transactions: Sequence[SignedTransaction]) -> None:
            taken.extend(transactions)
            transaction_log.began(taken)

        summary = runtime().processor.run_accepted(
            message.batch, message.count, enqueued_at=message.enqueued_at, isolate=isolate, begin=begin
        )
        ledger = runtime().ledger
        transaction_log.ended(taken, str(summary), ledger.settled, ledger.refusals)
        return summary

    def park(self, delay: float, exc: Exception) -> None:
        """Put the batch back into intake; the sweeper brings it when its time has come.

        With the ledger away the message itself is put off: published again, or handed back to the broker. Raises
        DeadLettered when a part of it was given up; the rest is parked.
        """
        try:
            summary = self._park(delay, exc)
        except (LedgerUnavailable, LedgerMissing, StaleEpoch) as error:
            delay = min(delay, runtime().settings.intake.longest_countdown)
            logger.warning("%s; cannot park in intake (%s): the message comes again in %.1f s", exc, error, delay)
            self.publish_again(delay)
        else:
            _summary(summary)

    def _park(self, delay: float, exc: Exception) -> BatchSummary:
        # Decoded again, if it ran: intake does not take what has its outcome or is a dead letter by now.
        payload = (self.request.args or [[]])[0]
        processor = runtime().processor
        batch = BatchMessage.parse([], batch=(self.request.kwargs or {}).get("batch", "")).batch
        rejected = NOTHING
        transactions: Sequence[SignedTransaction]
        if batch:
            transactions = runtime().intake.dissolve(batch)
        else:
            transactions, rejected = _decode(processor, [payload] if isinstance(payload, str) else payload)
        summary = rejected + processor.park(transactions, delay)
        transaction_log.parked(transactions, delay, exc)
        return summary


def _decode(processor: Processor, payload: Sequence[object]) -> tuple[list[SignedTransaction], BatchSummary]:
    """The transactions of a message; what was none is a dead letter now, and counted."""
    decoded = decode_message(payload)
    return decoded.transactions, processor.reject(decoded.malformed)


def _summary(summary: BatchSummary) -> str:
    """The counts as text. Raises DeadLettered with that text when a part of the message was given up."""
    if summary.given_up:
        raise DeadLettered(f"{summary.whole_text} (`trunkline deadletter list` shows them)")
    return summary.whole_text
