"""What a worker does with a message when things go wrong around one transaction."""

from __future__ import annotations

from typing import Any

import pytest
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction

from banking.errors import LedgerUnavailable, StaleEpoch
from banking.execution.batch import BatchReport
from banking.execution.processor import BatchSummary, Processor, decode_message
from banking.intake.intake import Acceptance
from banking.transaction import SignedTransaction, parse
from recovery.dead_letters import DeadLetter
from tests.support.bench import Bench, forged
from tests.support.ledgers import SOL


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_one_that_cannot_be_run_becomes_a_dead_letter_alone(bench: Bench) -> None:
    transactions = bench.accepted(5)

    def act(batch: list[SignedTransaction]) -> None:
        if transactions[2] in batch:
            raise ValueError("a bug")

    bench.disturb(act)
    done = bench.run(transactions)
    assert (done.committed, done.dead) == (4, 1)
    (letter,) = bench.dead_letters.letters.list()
    assert (letter.id, letter.reason) == (transactions[2].signature, "ValueError: a bug")
    assert not bench.client.exists(bench.keys.intake, bench.keys.attempts, bench.keys.queued)


def test_a_conflict_is_no_killing(bench: Bench) -> None:
    (transaction,) = bench.accepted(1)
    bench.disturb(lambda batch: BatchReport(conflicts=batch))
    for _ in range(5):
        assert bench.run([transaction], isolate=True).parked == 1
    assert bench.attempts(transaction) == 0
    assert not bench.dead_letters.letters.count()


@pytest.mark.parametrize("error", [LedgerUnavailable("away"), StaleEpoch("restored")])
def test_an_outage_is_no_killing(bench: Bench, error: Exception) -> None:
    (transaction,) = bench.accepted(1)

    def act(batch: list[SignedTransaction]) -> None:
        raise error

    bench.disturb(act)
    for _ in range(5):
        with pytest.raises(type(error)):
            bench.run([transaction], isolate=True)
    assert bench.attempts(transaction) == 0
    assert not bench.dead_letters.letters.count()


def test_an_outage_that_swallows_the_count_is_no_killing_either(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger goes away after the run was counted: the count is taken back once it is there again."""
    (transaction,) = bench.accepted(1)
    away = True

    def act(batch: list[SignedTransaction]) -> None:
        if away:
            monkeypatch.setattr(bench.intake, "end_attempt", unreachable)
            raise LedgerUnavailable("away")

    def unreachable(signature: bytes) -> None:
        raise LedgerUnavailable("away")

    bench.disturb(act)
    for _ in range(4):
        with pytest.raises(LedgerUnavailable):
            bench.run([transaction], isolate=True)
        monkeypatch.undo()
    away = False
    assert bench.run([transaction], isolate=True).committed == 1
    assert not bench.client.exists(bench.keys.attempts)


def test_silent_ends_are_counted_and_end_in_a_letter(bench: Bench) -> None:
    """As a killed process leaves it: the count stays."""
    killer, other = bench.accepted(2)

    class Killed(BaseException):
        pass

    def act(batch: list[SignedTransaction]) -> None:
        if killer in batch:
            raise Killed

    bench.disturb(act)
    with pytest.raises(Killed):
        bench.run([killer, other])
    for _ in range(2):
        with pytest.raises(Killed):
            bench.run([killer, other], isolate=True)
    done = bench.run([killer, other], isolate=True)
    assert done.dead == 1
    outcome, good = bench.world.ledger.outcomes([killer.signature, other.signature])
    assert outcome is None
    assert good is not None
    assert bench.run([killer, other], isolate=True).duplicates == 2


def test_a_bare_transaction_that_comes_again_is_recorded(bench: Bench) -> None:
    transaction = bench.world.transfer(bench.world.faucet, bench.world.faucet.pubkey(), SOL)

    def act(batch: list[SignedTransaction]) -> None:
        assert bench.client.hget(bench.keys.intake, transaction.signature) == transaction.raw

    bench.disturb(act)
    assert bench.run([transaction], isolate=True).committed == 1
    assert bench.world.ledger.state().accepted == 1


def test_a_panic_of_the_vm_is_this_transactions_outcome(bench: Bench) -> None:
    transactions = bench.accepted(3)
    executor = bench.world.stage._executor

    class PanicException(BaseException):
        """As pyo3's, which is no Exception."""

    send = executor._vm._vm_send

    def panicking(transaction: VersionedTransaction) -> Any:
        if transaction == transactions[1].parsed:
            raise PanicException("index out of bounds")
        return send(transaction)

    executor._vm._vm_send = panicking  # type: ignore[method-assign]
    done = bench.run(transactions)
    assert (done.committed, done.dead) == (3, 0)
    outcomes = bench.world.ledger.outcomes([signed.signature for signed in transactions])
    failed = '{"InstructionError":[0,"ProgramFailedToComplete"]}'
    assert [(one.err, one.fee) for one in outcomes if one] == [(None, 5000), (failed, 5000), (None, 5000)]


def test_forged_transaction_has_no_effect_however_it_comes(bench: Bench) -> None:
    """Signatures are checked in the worker unless intake holds the very same bytes."""
    for isolate in (False, True):
        transaction = forged(bench)
        done = bench.run([transaction], isolate=isolate)
        assert (done.committed, done.malformed) == (0, 1)
        assert bench.world.ledger.outcomes([transaction.signature]) == [None]
        assert not bench.client.hexists(bench.keys.intake, transaction.signature)
    assert bench.world.ledger.state().processed == 0


def test_intake_vouches_only_for_the_very_same_bytes(bench: Bench) -> None:
    """A message that carries the signature of an accepted transaction, but other instructions."""
    good, other = bench.accepted(2)
    mixed = parse(good.raw[:65] + other.raw[65:])
    assert mixed.signature == good.signature
    assert bench.run([mixed]).malformed == 1
    assert bench.run([parse(good.raw)]).committed == 1
    assert bench.world.ledger.state().processed == 1


def test_forged_transaction_cannot_be_parked(bench: Bench) -> None:
    """What stands in intake is believed later, so nothing unverified may get there."""
    transaction = forged(bench)
    waiting = bench.client.hlen(bench.keys.intake)
    done = bench.processor.park([transaction], 1.0)
    assert (done.parked, done.malformed) == (0, 1)
    assert bench.client.hlen(bench.keys.intake) == waiting


def poisoned(bench: Bench, transactions: list[SignedTransaction]) -> None:
    """The VM cannot stand any of `transactions`."""

    def act(batch: list[SignedTransaction]) -> None:
        if any(transaction in transactions for transaction in batch):
            raise ValueError("a bug")

    bench.disturb(act)


def test_what_full_dead_letters_cannot_take_waits_in_intake(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.limit_letters(2)
    transactions = bench.accepted(4)
    poisoned(bench, transactions[1:])
    done = bench.run(transactions)
    assert (done.committed, done.dead, done.parked) == (1, 2, 1)
    assert bench.dead_letters.letters.count() == 2
    assert "Dead letters are full" in caplog.text
    (left,) = bench.client.hkeys(bench.keys.intake)
    assert bench.client.zscore(bench.keys.parked, left) is not None

    # New work is refused, by a code of its own, until somebody has made room.
    more = bench.world.transfer(bench.world.faucet, Keypair().pubkey(), SOL)
    assert bench.intake.accept([(more.signature, more.raw)]).answers == [Acceptance.LETTERS_FULL]
    bench.dead_letters.letters.drop(bench.dead_letters.letters.list()[0].id)
    assert bench.intake.accept([(more.signature, more.raw)]).answers == [Acceptance.ACCEPTED]
    assert bench.run([transaction for transaction in transactions if transaction.signature == left]).dead == 1
    assert not bench.client.hexists(bench.keys.intake, left)


def test_letters_of_every_kind_count(bench: Bench) -> None:
    bench.limit_letters(3)
    bench.processor.reject(decode_message(["no transaction"]).malformed)
    bench.dead_letters.letters.add(
        DeadLetter(id=b"t", kind="t", payload=b"", reason="", attempts=1, first_at=0, last_at=0)
    )
    transactions = bench.accepted(2)
    poisoned(bench, transactions)
    done = bench.run(transactions)
    assert (done.dead, done.parked) == (1, 1)


def test_letters_are_limited_by_bytes(bench: Bench) -> None:
    bench.limit_letters(1000, most_bytes=2000)
    transactions = bench.accepted(100)
    poisoned(bench, transactions)
    done = bench.run(transactions)
    assert 2 <= done.dead < 10
    assert done.dead + done.parked == 100
    held = sum(len(key) + len(value) for key, value in bench.client.hgetall(bench.keys.dead).items())
    assert bench.dead_letters.letters.size() == (done.dead, held)
    # One more than fits at most.
    assert 2000 <= held < 3000


def test_a_killer_that_full_dead_letters_refused_is_not_released_among_others(bench: Bench) -> None:
    bench.limit_letters(1)
    transactions = bench.accepted(2)
    bench.client.hset(bench.keys.attempts, mapping={transaction.signature: 9 for transaction in transactions})
    done = bench.run(transactions, isolate=True)
    assert (done.dead, done.parked) == (1, 1)
    bench.client.zadd(bench.keys.parked, dict.fromkeys(bench.client.hkeys(bench.keys.intake), 1))
    found = bench.intake.sweep(grace=1.0, queue_empty=False, limit=10)
    assert (len(found.released), len(found.suspects)) == (0, 1)


def test_what_the_slot_has_no_room_for_is_parked_and_uses_no_attempt() -> None:
    bench, asked = Bench(), []
    bench.processor = Processor(
        bench.world.stage, bench.intake, bench.dead_letters, max_attempts=2, on_full=lambda: asked.append(1)
    )
    (transaction,) = bench.accepted(1)
    bench.disturb(lambda transactions: BatchReport(full=list(transactions)))
    for _ in range(5):
        assert bench.run([transaction], isolate=True).parked == 1
    assert bench.run([transaction]).parked == 1
    assert bench.attempts(transaction) == 0
    assert bench.client.zscore(bench.keys.parked, transaction.signature) is not None
    assert len(asked) == 6, "each time somebody is asked to seal"


def test_decoding_writes_nothing(bench: Bench) -> None:
    before = bench.client.keys("*")
    decoded = decode_message(["no transaction", 7])
    assert decoded.transactions == []
    assert [item.item for item in decoded.malformed] == ["no transaction", 7]
    assert bench.client.keys("*") == before


def test_summaries_add_up_and_name_a_few_different_reasons() -> None:
    parts = [BatchSummary(dead=1, reasons=(reason,)) for reason in ("a", "b", "a", "c", "d")]
    whole = sum(parts, BatchSummary(committed=2, parked=1))
    assert (whole.committed, whole.dead, whole.given_up) == (2, 5, 5)
    assert str(whole) == "2 committed, 1 parked, 5 dead: a; b; c"
