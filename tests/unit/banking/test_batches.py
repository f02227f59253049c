"""A batch as the unit of intake: accepted, read, committed and lost as a whole; what leaves it goes by itself."""

from __future__ import annotations

from typing import Any

import fakeredis
import pytest
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction

from banking.audit.audit import audit
from banking.execution.executor import SvmExecutor
from banking.execution.processor import BatchSummary, Processor
from banking.execution.stage import BankingStage
from banking.intake.dead_letters import TransactionDeadLetters
from banking.intake.intake import Accepted, Intake
from banking.ledger.batch_record import unpack_batch
from banking.ledger.ledger import Ledger
from banking.transaction import SignedTransaction, VerifiedTransaction, verify
from tests.support.ledgers import SOL, World, new_world


class Bench:
    """A ledger, its intake, and a worker's processor."""

    def __init__(self) -> None:
        self.client: Any = fakeredis.FakeRedis(version=(6, 2))
        self.world: World = new_world(self.client)
        self.ledger: Ledger = self.world.ledger
        self.keys = self.ledger.keys
        self.intake = Intake(self.ledger)
        self.processor = Processor(self.world.stage, self.intake, TransactionDeadLetters(self.ledger), max_attempts=2)
        self.people = self.world.fund(4)

    def transfers(self, count: int) -> list[VerifiedTransaction]:
        """Transfers of four people, each to somebody new."""
        return [
            verify(self.world.transfer(self.people[number % 4], Keypair().pubkey(), SOL // 100).raw)
            for number in range(count)
        ]

    def accept(self, transactions: list[VerifiedTransaction]) -> Accepted:
        accepted = self.intake.accept_batch(transactions)
        assert accepted.batch
        return accepted

    def run(self, accepted: Accepted, *, isolate: bool = False) -> BatchSummary:
        count = len(accepted.answers)
        return self.processor.run_accepted(accepted.batch, count, enqueued_at=accepted.at, isolate=isolate)

    def assert_all_done(self, transactions: list[VerifiedTransaction]) -> None:
        assert None not in self.ledger.outcomes([transaction.signature for transaction in transactions])
        self.assert_empty()

    def assert_empty(self) -> None:
        keys = self.keys
        assert not self.client.exists(keys.intake, keys.queued, keys.parked, keys.attempts, keys.batches)
        report = audit(self.ledger, self.world.blocks)
        assert report.ok, [check for check in report.checks if not check.ok]


def counts(summary: BatchSummary) -> dict[str, int]:
    """The counts of a summary that are not 0."""
    names = ("committed", "refused", "duplicates", "parked", "dead", "malformed")
    return {name: getattr(summary, name) for name in names if getattr(summary, name)}


@pytest.fixture
def bench() -> Bench:
    return Bench()


def twin_of(transaction: VerifiedTransaction) -> VerifiedTransaction:
    """As if its payer had signed it again, with another nonce: same message, other signature."""
    twin: Any = object.__new__(VerifiedTransaction)
    raw = transaction.raw[:1] + bytes(63) + b"t" + transaction.raw[65:]
    parts = {"raw": raw, "parsed": VersionedTransaction.from_bytes(raw), "signature": raw[1:65]}
    parts |= {"message_hash": transaction.message_hash, "blockhash": transaction.blockhash}
    for name, value in parts.items():
        object.__setattr__(twin, name, value)
    made: VerifiedTransaction = twin
    return made


def test_a_batch_reaches_its_outcomes_in_one_journal_entry(bench: Bench) -> None:
    transactions = bench.transfers(40)
    accepted = bench.accept(transactions)
    assert bench.client.hlen(bench.keys.intake) == 40
    assert bench.client.zrange(bench.keys.queued, 0, -1) == [accepted.batch]
    before = bench.client.xlen(bench.ledger.epoch_keys.journal)
    assert counts(bench.run(accepted)) == {"committed": 40}
    assert bench.client.xlen(bench.ledger.epoch_keys.journal) == before + 1
    bench.assert_all_done(transactions)
    assert counts(bench.run(accepted)) == {"duplicates": 40}
    bench.assert_empty()


def test_the_record_says_what_its_transactions_say(bench: Bench) -> None:
    transactions = bench.transfers(5)
    accepted = bench.accept(transactions)
    stored = bench.client.hget(bench.keys.batches, accepted.batch)
    record = unpack_batch(accepted.batch, stored)
    for ours, theirs in zip(transactions, record.transactions, strict=True):
        assert (ours.raw, ours.parsed, ours.signature) == (theirs.raw, theirs.parsed, theirs.signature)
        assert (ours.message_hash, ours.blockhash) == (theirs.message_hash, theirs.blockhash)
    named = {bytes(key) for one in transactions for key in one.parsed.message.account_keys}
    assert set(record.accounts) == named
    assert record.blockhashes == [transactions[0].blockhash]


def test_what_is_partly_there_is_accepted_one_by_one(bench: Bench) -> None:
    old, new = bench.transfers(2), bench.transfers(3)
    bench.accept(old)
    answer = bench.intake.accept_batch([*old, *new])
    assert ("".join(answer.answers), answer.batch) == ("DDAAA", b"")
    assert bench.client.hget(bench.keys.intake, new[0].signature) == new[0].raw


def test_a_conflict_costs_only_who_is_in_it(bench: Bench) -> None:
    transactions = bench.transfers(8)
    accepted = bench.accept(transactions)
    opened = bench.world.stage.open_batch(accepted.batch)
    assert opened is not None
    other = BankingStage(Ledger(bench.client, "test"), SvmExecutor())
    rival = bench.world.transfer(bench.people[0], Keypair().pubkey(), 1)
    assert other.process([rival]).committed
    # The six of the others are in one entry; the two of the rival's payer come in the next round.
    before = bench.client.xlen(bench.ledger.epoch_keys.journal)
    assert len(bench.world.stage.process(opened.transactions, opened=opened).committed) == 8
    assert bench.client.xlen(bench.ledger.epoch_keys.journal) == before + 2
    bench.assert_all_done(transactions)


def test_a_lost_message_is_found_once_and_then_taken_apart(bench: Bench) -> None:
    transactions = bench.transfers(4)
    accepted = bench.accept(transactions)
    found = bench.intake.sweep(grace=-1.0, queue_empty=True, limit=100)
    assert [(lost.id, lost.count) for lost in found.batches] == [(accepted.batch, 4)]
    assert (found.lost, found.suspects) == ([], [])
    again = bench.intake.sweep(grace=-1.0, queue_empty=True, limit=100)
    assert again.batches == []
    assert sorted(again.suspects) == sorted(transaction.raw for transaction in transactions)
    assert not bench.client.exists(bench.keys.batches)
    # The message was only late.
    assert counts(bench.run(accepted)) == {"duplicates": 4}
    assert bench.processor.run(transactions, enqueued_at=0, isolate=True).committed == 4
    bench.assert_all_done(transactions)


def test_one_that_kills_its_worker_is_given_up_and_its_batch_is_not(bench: Bench) -> None:
    transactions = bench.transfers(4)
    accepted = bench.accept(transactions)
    killer = transactions[1].signature
    original = bench.world.stage.process

    def process(some: list[SignedTransaction], **options: Any) -> Any:
        if killer in {transaction.signature for transaction in some}:
            raise KeyboardInterrupt
        return original(some, **options)

    bench.world.stage.process = process  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        bench.run(accepted)
    # The redelivered message runs them one by one, the innocent first.
    with pytest.raises(KeyboardInterrupt):
        bench.run(accepted, isolate=True)
    with pytest.raises(KeyboardInterrupt):
        bench.processor.run(transactions, enqueued_at=0, isolate=True)
    assert bench.processor.run(transactions, enqueued_at=0, isolate=True).dead == 1
    assert [outcome is not None for outcome in bench.ledger.outcomes([t.signature for t in transactions])] == [
        transaction.signature != killer for transaction in transactions
    ]
    bench.assert_empty()


def test_what_is_parked_leaves_the_batch(bench: Bench) -> None:
    transactions = bench.transfers(4)
    accepted = bench.accept(transactions)
    assert bench.processor.park(transactions[:1], 0.0).parked == 1
    assert bench.world.stage.open_batch(accepted.batch) is None
    # Those that are still in it run together.
    assert counts(bench.run(accepted)) == {"committed": 3, "duplicates": 1}
    (released,) = bench.intake.sweep(grace=60.0, queue_empty=True, limit=100).released
    assert bench.processor.run([verify(released)], enqueued_at=0, isolate=False).committed == 1
    bench.assert_all_done(transactions)


def test_a_twin_in_another_batch_is_refused(bench: Bench) -> None:
    first, second = bench.transfers(2), bench.transfers(2)
    twin = twin_of(first[0])
    accepted = bench.accept(first)
    later = bench.intake.accept_batch([*second, twin])
    assert ("".join(later.answers), later.batch) == ("AAA", b"")
    assert counts(bench.run(accepted)) == {"committed": 2}
    # It was verified when it was accepted.
    done = bench.processor.run([*second, twin], enqueued_at=0, isolate=False)
    assert (done.committed, done.refused) == (2, 1)
    assert bench.ledger.refusals([twin.signature]) == ['"AlreadyProcessed"']


def test_a_twin_that_is_first_costs_only_its_twin(bench: Bench) -> None:
    """The batch claimed the message; the other transaction of it comes in a bare message, and is faster."""
    transactions = bench.transfers(3)
    twin = twin_of(transactions[1])
    accepted = bench.accept(transactions)
    opened = bench.world.stage.open_batch(accepted.batch)
    assert opened is not None
    assert len(bench.world.stage.process([twin]).committed) == 1
    report = bench.world.stage.process(opened.transactions, opened=opened)
    assert [transaction.signature for transaction in report.refused] == [transactions[1].signature]
    assert len(report.committed) == 2
    messages = bench.client.hgetall(bench.ledger.epoch_keys.messages)
    assert messages[twin.message_hash] == twin.signature


def test_a_batch_whose_message_was_taken_before_it_is_read_looks_again(bench: Bench) -> None:
    """What it reads then is newer than the twin: nothing but the message speaks against it."""
    transactions = bench.transfers(3)
    twin = twin_of(transactions[1])
    accepted = bench.accept(transactions)
    assert len(bench.world.stage.process([twin]).committed) == 1
    assert counts(bench.run(accepted)) == {"committed": 2, "refused": 1}
    assert bench.ledger.refusals([transactions[1].signature]) == ['"AlreadyProcessed"']


def test_a_batch_of_an_older_epoch_is_looked_at_one_by_one(bench: Bench) -> None:
    """Its transactions may have had their outcomes in what was restored."""
    transactions = bench.transfers(3)
    accepted = bench.accept(transactions)
    old, new = bench.keys.epoch(1), bench.keys.epoch(2)
    bench.client.delete(old.messages)
    for before, after in zip(old.all(), new.all(), strict=True):
        if bench.client.exists(before):
            bench.client.rename(before, after)
    bench.client.hset(bench.keys.meta, "epoch", "2")
    bench.client.hset(new.status, transactions[0].signature, b"1:2:restored")
    bench.ledger.forget_epoch()
    assert bench.world.stage.open_batch(accepted.batch) is None
    summary = bench.run(accepted)
    assert (summary.committed, summary.duplicates) == (2, 1)
    # The restore drops what has its outcome; there was none here.
    assert bench.client.hkeys(bench.keys.intake) == [transactions[0].signature]
    assert not bench.client.exists(bench.keys.batches)
