"""What the log tells of transactions, so that `grep SIGNATURE` finds what became of one.

Refused and parked ones are told at level INFO and given-up ones at ERROR, a line for all that shared the fate; at DEBUG
there is also a line a batch at each station. Below their level these cost a comparison.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from banking.errors import LedgerMissing
from banking.ledger.records import Outcome
from banking.transaction import SignedTransaction, parse
from recovery.errors import TransientError
from tasks.receipts import Receipt, Verdict

logger = logging.getLogger(__name__)

Settled = Sequence[tuple[Outcome, bool] | None]


def received(receipts: Sequence[Receipt]) -> None:
    """At intake: what was accepted, was there before, or was refused and why."""
    if not logger.isEnabledFor(logging.INFO):
        return
    fates: dict[tuple[Verdict, str], list[str]] = {}
    everything = logger.isEnabledFor(logging.DEBUG)
    for receipt in receipts:
        if not everything and receipt.verdict is not Verdict.REJECTED:
            continue
        # Where no signature could be read there is none to look for.
        fates.setdefault((receipt.verdict, receipt.reason), []).append(receipt.signature or "unreadable")
    for (verdict, reason), signatures in fates.items():
        level = logging.INFO if verdict is Verdict.REJECTED else logging.DEBUG
        extra = {"signatures": signatures} | ({"reason": reason} if reason else {})
        logger.log(level, "Intake: %d %s", len(signatures), verdict.value, extra=extra)


def began(transactions: Sequence[SignedTransaction]) -> None:
    """A worker has the batch's message."""
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("Worker: %d taken", len(transactions), extra={"signatures": _names(transactions)})


def ended(
    transactions: Sequence[SignedTransaction],
    summary: str,
    settled: Callable[[Sequence[bytes]], Settled],
    refusals: Callable[[Sequence[bytes]], Sequence[str | None]] = lambda signatures: [None] * len(signatures),
) -> None:
    """A worker is done with the batch. `settled` and `refusals` are asked of the signatures, only where it is told."""
    if not logger.isEnabledFor(logging.DEBUG):
        return
    try:
        signatures = [transaction.signature for transaction in transactions]
        answers, refused = settled(signatures), refusals(signatures)
    except (TransientError, LedgerMissing) as error:
        # The batch is done; only the telling suffers.
        logger.debug("Worker: %s (outcomes unknown: %s)", summary, error, extra={"signatures": _names(transactions)})
        return
    fates: dict[tuple[int | None, str], list[str]] = {}
    for name, answer, refusal in zip(_names(transactions), answers, refused, strict=True):
        outcome = answer[0] if answer else None
        slot, result = (outcome.slot, outcome.err or "ok") if outcome else (None, refusal or "no outcome yet")
        fates.setdefault((slot, result), []).append(name)
    for (slot, result), names in fates.items():
        extra = {"slot": slot, "outcome": result, "signatures": names}
        logger.debug("Worker: %s; %d with this outcome", summary, len(names), extra=extra)


def parked(transactions: Sequence[SignedTransaction], delay: float, why: object) -> None:
    """Held in intake for `delay` seconds."""
    if transactions and logger.isEnabledFor(logging.INFO):
        extra = {"signatures": _names(transactions), "reason": str(why), "delay_s": round(delay, 3)}
        logger.info("Parked: %d for %.1f s", len(transactions), delay, extra=extra)


def brought_back(raws: Iterable[bytes], why: str) -> None:
    """The sweeper enqueues them again; `why` is `released`, `lost` or `suspect`."""
    if logger.isEnabledFor(logging.DEBUG):
        transactions = [parse(raw) for raw in raws]
        if transactions:
            logger.debug("Sweeper: %d %s", len(transactions), why, extra={"signatures": _names(transactions)})


def _names(transactions: Sequence[SignedTransaction]) -> list[str]:
    return [str(transaction.parsed.signatures[0]) for transaction in transactions]
