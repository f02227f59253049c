"""A refusal without a fee is told, enters nothing, and the same bytes may be tried again."""

from __future__ import annotations

from typing import Any

import fakeredis
import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from banking.audit.audit import audit
from banking.errors import TransactionRefused
from banking.execution.processor import Processor
from banking.intake.dead_letters import TransactionDeadLetters
from banking.intake.intake import Acceptance, Intake
from banking.ledger import ledger as ledgers
from banking.ledger.ledger import Ledger
from banking.transaction import SignedTransaction, verify
from tests.support.ledgers import SOL, World, new_world, transfer_transaction

NOTHING = '"AccountNotFound"'


class Bench:
    """A ledger, and a worker's processor."""

    def __init__(self) -> None:
        self.client: Any = fakeredis.FakeRedis(version=(6, 2))
        self.world: World = new_world(self.client)
        self.ledger: Ledger = self.world.ledger
        self.intake = Intake(self.ledger)
        self.processor = Processor(self.world.stage, self.intake, TransactionDeadLetters(self.ledger))

    def poor(self, lamports: int = SOL) -> tuple[Keypair, SignedTransaction]:
        """A key that owns nothing, and its transfer."""
        key = Keypair()
        return key, self.world.transfer(key, Keypair().pubkey(), lamports)

    def accept(self, *transactions: SignedTransaction) -> str:
        return "".join(
            self.intake.accept([(transaction.signature, transaction.raw) for transaction in transactions]).answers
        )

    def run(self, *transactions: SignedTransaction, isolate: bool = False) -> str:
        return str(self.processor.run(list(transactions), enqueued_at=0, isolate=isolate))

    def fund(self, key: Keypair) -> None:
        assert self.run(self.world.transfer(self.world.faucet, key.pubkey(), 10 * SOL)) == "1 committed"

    def told(self, transaction: SignedTransaction) -> str | None:
        return self.ledger.refusals([transaction.signature])[0]

    def held(self) -> int:
        """Keys of intake that say anything."""
        keys = self.ledger.keys
        return int(self.client.exists(keys.intake, keys.queued, keys.parked, keys.attempts))

    def assert_sound(self) -> None:
        report = audit(self.ledger, self.world.blocks)
        assert report.ok, [check for check in report.checks if not check.ok]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_who_owns_nothing_gets_nothing_into_a_block(bench: Bench) -> None:
    transactions = [bench.poor()[1] for _ in range(300)]
    before = bench.ledger.state()
    for first in range(0, 300, 100):
        some = transactions[first : first + 100]
        assert bench.accept(*some) == "A" * 100
        assert bench.run(*some) == "100 refused"
    after = bench.ledger.state()
    assert (after.seq, after.processed, after.failed) == (before.seq, before.processed, before.failed)
    assert (after.refused, after.accepted - before.accepted) == (300, 300)
    assert {bench.told(transaction) for transaction in transactions} == {NOTHING}
    assert bench.ledger.outcomes([transaction.signature for transaction in transactions]) == [None] * 300
    assert not bench.held()
    bench.assert_sound()
    bench.world.seal()
    assert not bench.world.blocks.read(after.slot).entries
    bench.assert_sound()


def test_a_transfer_lands_once_it_is_funded(bench: Bench) -> None:
    key, transaction = bench.poor()
    bench.accept(transaction)
    assert bench.run(transaction) == "1 refused"
    bench.fund(key)
    # The very same bytes.
    assert bench.accept(transaction) == "A"
    assert bench.told(transaction) is None
    assert bench.run(transaction) == "1 committed"
    assert bench.accept(transaction) == Acceptance.DUPLICATE_RESOLVED.value
    (outcome,) = bench.ledger.outcomes([transaction.signature])
    assert outcome is not None
    assert outcome.ok
    bench.assert_sound()


def test_it_may_be_refused_any_number_of_times(bench: Bench) -> None:
    key, transaction = bench.poor(2 * SOL)
    for _ in range(3):
        assert bench.accept(transaction) == "A"
        assert bench.accept(transaction) == Acceptance.DUPLICATE_PENDING.value
        assert bench.run(transaction) == "1 refused"
    bench.assert_sound()
    assert bench.ledger.state().refused == 3
    bench.fund(key)
    bench.accept(transaction)
    assert bench.run(transaction) == "1 committed"
    bench.assert_sound()


@pytest.mark.parametrize("isolate", [False, True])
def test_a_refusal_that_was_told_never_executes(bench: Bench, isolate: bool) -> None:
    """Messages come twice and late; only who accepts it again may run it again."""
    key, transaction = bench.poor()
    bench.accept(transaction)
    bench.run(transaction)
    bench.fund(key)
    assert bench.run(transaction, isolate=isolate) == "1 duplicate"
    assert bench.processor.park([transaction], 1.0).parked == 0
    assert bench.told(transaction) == NOTHING
    assert not bench.held()
    bench.assert_sound()


def test_one_that_was_executing_meanwhile_does_not_overrule_it(bench: Bench) -> None:
    """Its worker was paused before the commit, and another one has told the refusal."""
    key, transaction = bench.poor()
    bench.accept(transaction)
    commit = bench.ledger.commit

    def late(*args: Any, **options: Any) -> Any:
        bench.ledger.commit = commit  # type: ignore[method-assign]
        assert bench.run(transaction) == "1 refused"
        bench.fund(key)
        return commit(*args, **options)

    bench.ledger.commit = late  # type: ignore[method-assign]
    assert bench.run(transaction) == "1 duplicate"
    assert bench.told(transaction) == NOTHING
    bench.assert_sound()


def test_a_bare_message_is_told_as_well(bench: Bench) -> None:
    _, transaction = bench.poor()
    assert bench.run(transaction) == "1 refused"
    assert bench.told(transaction) == NOTHING
    bench.assert_sound()


def test_funding_in_the_same_batch_comes_in_time_or_not(bench: Bench) -> None:
    (early, before), (late, after) = bench.poor(), bench.poor()
    paid = [bench.world.transfer(bench.world.faucet, key.pubkey(), 10 * SOL) for key in (early, late)]
    batch = [paid[0], before, after, paid[1]]
    bench.accept(*batch)
    assert bench.run(*batch) == "3 committed, 1 refused"
    assert (bench.told(before), bench.told(after)) == (None, NOTHING)
    bench.assert_sound()


def test_an_expired_blockhash_stays_an_outcome(bench: Bench) -> None:
    key = Keypair()
    transaction = verify(bytes(transfer_transaction(key, Keypair().pubkey(), 1, Hash.new_unique())))
    bench.accept(transaction)
    assert bench.run(transaction) == "1 committed"
    (outcome,) = bench.ledger.outcomes([transaction.signature])
    assert outcome is not None
    assert (outcome.err, outcome.fee) == ('"BlockhashNotFound"', 0)
    bench.assert_sound()


def test_a_refused_one_expires_like_any_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "MAX_BLOCKHASH_AGE", 2)
    _, transaction = bench.poor()
    bench.accept(transaction)
    bench.run(transaction)
    for _ in range(4):
        bench.world.seal()
    bench.accept(transaction)
    assert bench.run(transaction) == "1 committed"
    (outcome,) = bench.ledger.outcomes([transaction.signature])
    assert outcome is not None
    assert outcome.err == '"BlockhashNotFound"'
    bench.assert_sound()


def test_the_twin_of_a_cosigner_is_refused(bench: Bench) -> None:
    """The same message under another signature of its payer: applied once (decision 0006), and no outcome either."""
    payer = Keypair()
    bench.fund(payer)
    message = Message.new_with_blockhash(
        [transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=Pubkey.new_unique(), lamports=SOL))],
        payer.pubkey(),
        bench.world.blockhash(),
    )
    transaction = verify(bytes(VersionedTransaction(message, [payer])))
    twin = SignedTransaction(
        transaction.raw, transaction.parsed, b"t" * 64, transaction.message_hash, transaction.blockhash
    )
    assert bench.run(transaction) == "1 committed"
    bench.client.hset(bench.ledger.keys.intake, twin.signature, twin.raw)
    bench.client.hincrby(bench.ledger.epoch_keys.state, "accepted", 1)
    assert bench.run(twin) == "1 refused"
    assert bench.told(twin) == '"AlreadyProcessed"'
    bench.assert_sound()


def test_what_is_remembered_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "MAX_REFUSALS", 10)
    transactions = [bench.poor()[1] for _ in range(25)]
    for transaction in transactions:
        bench.run(transaction)
    keys = bench.ledger.epoch_keys
    assert bench.client.hlen(keys.refusals) == bench.client.zcard(keys.refused) == 10
    assert bench.ledger.state().refused == 25
    bench.assert_sound()
    # A value holds its slot and the error alone.
    assert max(map(len, bench.client.hvals(keys.refusals))) < 64
    monkeypatch.setattr(ledgers, "MAX_BLOCKHASH_AGE", 2)
    for _ in range(4):
        bench.world.seal()
    bench.run(bench.poor()[1])
    assert bench.client.hlen(keys.refusals) == bench.client.zcard(keys.refused) == 1


def test_the_stage_alone_says_so(bench: Bench) -> None:
    key, transaction = bench.poor()
    with pytest.raises(TransactionRefused, match="AccountNotFound"):
        bench.world.stage.process_transaction_with_fault_tolerance(transaction.raw)
    assert not bench.world.stage.simulate(transaction).resolved
    bench.fund(key)
    bench.accept(transaction)
    assert bench.world.stage.process_transaction_with_fault_tolerance(transaction.raw).ok
