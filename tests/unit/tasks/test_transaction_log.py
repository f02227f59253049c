"""What the log tells of transactions, and that it costs nothing below its level."""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from solders.hash import Hash
from solders.keypair import Keypair

from banking.errors import LedgerUnavailable
from banking.execution.processor import BatchSummary
from banking.ledger.records import Outcome
from banking.transaction import VerifiedTransaction, verify
from tasks import base, transaction_log
from tasks.base import TransactionTask
from tasks.receipts import Receipt, Verdict
from tests.support.ledgers import SOL, transfer_transaction


@pytest.fixture
def transactions() -> list[VerifiedTransaction]:
    blockhash = Hash.new_unique()
    return [verify(bytes(transfer_transaction(Keypair(), Keypair().pubkey(), SOL, blockhash))) for _ in range(2)]


def names(transactions: Sequence[VerifiedTransaction]) -> list[str]:
    return [str(transaction.parsed.signatures[0]) for transaction in transactions]


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, list[str]]]:
    return [(r.levelname, r.getMessage(), r.signatures) for r in caplog.records]  # type: ignore[attr-defined]


def test_a_refusal_is_told_at_info_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    receipts = [
        Receipt(Verdict.ACCEPTED, "a"),
        Receipt(Verdict.REJECTED, "b", "intake is full"),
        Receipt(Verdict.REJECTED, "c", "intake is full"),
        Receipt(Verdict.DUPLICATE, "d", "processed before"),
        Receipt(Verdict.REJECTED, None, "not base64 and not base58"),
    ]
    with caplog.at_level(logging.INFO):
        transaction_log.received(receipts)
    assert told(caplog) == [
        ("INFO", "Intake: 2 rejected", ["b", "c"]),
        ("INFO", "Intake: 1 rejected", ["unreadable"]),
    ]
    assert caplog.records[0].reason == "intake is full"  # type: ignore[attr-defined]
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        transaction_log.received(receipts)
    assert ("DEBUG", "Intake: 1 accepted", ["a"]) in told(caplog)
    assert ("DEBUG", "Intake: 1 duplicate", ["d"]) in told(caplog)


def test_the_outcomes_of_a_batch_are_told_apart(
    caplog: pytest.LogCaptureFixture, transactions: list[VerifiedTransaction]
) -> None:
    fine = Outcome(slot=7, seq=1, err=None, fee=5000, units=300, logs=[])
    answers = [(fine, False), None]
    with caplog.at_level(logging.DEBUG):
        transaction_log.ended(transactions, "1 committed", lambda _: answers)
    first, second = names(transactions)
    assert [signatures for _, _, signatures in told(caplog)] == [[first], [second]]
    assert [record.outcome for record in caplog.records] == ["ok", "no outcome yet"]  # type: ignore[attr-defined]


def test_a_ledger_that_is_away_does_not_fail_a_batch_that_is_done(
    caplog: pytest.LogCaptureFixture, transactions: list[VerifiedTransaction]
) -> None:
    def away(_: Sequence[bytes]) -> Any:
        raise LedgerUnavailable("away")

    with caplog.at_level(logging.DEBUG):
        transaction_log.ended(transactions, "2 committed", away)
    assert told(caplog) == [("DEBUG", "Worker: 2 committed (outcomes unknown: away)", names(transactions))]


def test_nothing_is_asked_below_the_level(caplog: pytest.LogCaptureFixture) -> None:
    """No names are made and the ledger is not asked: neither exists here."""
    nothing: Any = [None]
    with caplog.at_level(logging.WARNING):
        transaction_log.received(nothing)
        transaction_log.began(nothing)
        transaction_log.ended(nothing, "", nothing)
        transaction_log.parked(nothing, 1.0, "x")
        transaction_log.brought_back(nothing, "lost")
    assert not caplog.records


def test_a_parked_batch_is_told_with_its_reason(
    caplog: pytest.LogCaptureFixture, transactions: list[VerifiedTransaction], monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = SimpleNamespace(
        park=lambda transactions, delay: BatchSummary(parked=len(transactions)), reject=lambda malformed: BatchSummary()
    )
    monkeypatch.setattr(base, "runtime", lambda: SimpleNamespace(processor=processor, recorder=None))
    task = TransactionTask()
    payload = [base64.b64encode(transaction.raw).decode() for transaction in transactions]
    monkeypatch.setattr(task, "request_stack", SimpleNamespace(top=SimpleNamespace(args=[payload], kwargs={})))
    with caplog.at_level(logging.INFO):
        task.park(2.0, RuntimeError("the breaker is open"))
    assert told(caplog) == [("INFO", "Parked: 2 for 2.0 s", names(transactions))]
    assert caplog.records[0].reason == "the breaker is open"  # type: ignore[attr-defined]


def test_what_the_sweeper_brings_back_is_told(
    caplog: pytest.LogCaptureFixture, transactions: list[VerifiedTransaction]
) -> None:
    with caplog.at_level(logging.DEBUG):
        transaction_log.brought_back([transaction.raw for transaction in transactions], "lost")
    assert told(caplog) == [("DEBUG", "Sweeper: 2 lost", names(transactions))]
