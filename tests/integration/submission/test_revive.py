"""A dead transaction comes back to life whole, on fakeredis and real Redis alike."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest
import redis
from solders.keypair import Keypair

from banking.intake.dead_letters import ReplayOutcome, TransactionDeadLetters
from banking.intake.intake import Intake
from banking.transaction import SignedTransaction
from recovery.dead_letters import DeadLetter
from tests.support.ledgers import SOL, World, new_world


@pytest.fixture
def world(any_redis: redis.Redis) -> World:
    return new_world(any_redis)


@pytest.fixture
def transaction(world: World) -> SignedTransaction:
    """Buried after three attempts."""
    transaction = world.transfer(world.faucet, Keypair().pubkey(), SOL)
    intake = Intake(world.ledger)
    intake.accept([(transaction.signature, transaction.raw)])
    for _ in range(3):
        intake.begin_attempt(transaction.signature)
    assert TransactionDeadLetters(world.ledger).add(transaction.signature, transaction.raw, "killed its worker", 3)
    return transaction


def letter_of(world: World, transaction: SignedTransaction) -> DeadLetter:
    return cast("DeadLetter", TransactionDeadLetters(world.ledger).letters.get(transaction.signature))


def test_it_is_back_in_intake_with_all_its_attempts(world: World, transaction: SignedTransaction) -> None:
    dead_letters, intake = TransactionDeadLetters(world.ledger), Intake(world.ledger)
    # A worker that is slow to die may count after its dead letter was written.
    world.ledger.client.hset(world.ledger.keys.attempts, cast("Any", transaction.signature), "3")
    replayed = dead_letters.replay(letter_of(world, transaction))
    assert replayed.outcome is ReplayOutcome.REPLAYED
    assert dead_letters.letters.count() == 0
    assert intake.examine([(transaction.signature, transaction.raw)]) == [0]
    assert intake.sweep(grace=0, queue_empty=True, limit=10).lost == [transaction.raw]
    world.stage.process([transaction])
    state = world.ledger.state()
    assert (state.accepted, state.processed) == (1, 1)


def test_of_two_revivals_one_counts(world: World, transaction: SignedTransaction) -> None:
    dead_letters, letter = TransactionDeadLetters(world.ledger), letter_of(world, transaction)
    assert dead_letters.replay(letter).outcome is ReplayOutcome.REPLAYED
    assert dead_letters.replay(letter).outcome is ReplayOutcome.GONE


def test_another_letter_in_its_place_is_left_alone(world: World, transaction: SignedTransaction) -> None:
    dead_letters = TransactionDeadLetters(world.ledger)
    older = msgspec.structs.replace(letter_of(world, transaction), reason="another one")
    assert dead_letters.replay(older).outcome is ReplayOutcome.GONE
    assert dead_letters.letters.count() == 1


def test_what_has_its_outcome_is_only_dropped(world: World, transaction: SignedTransaction) -> None:
    """As after a restore, when the archive knows of an outcome that the lost Redis had forgotten."""
    letter = letter_of(world, transaction)
    other = world.transfer(world.faucet, Keypair().pubkey(), SOL)
    world.stage.process([other])
    status = world.ledger.epoch_keys.status
    outcome = world.ledger.client.hget(status, cast("Any", other.signature))
    world.ledger.client.hset(status, cast("Any", transaction.signature), cast("Any", outcome))
    assert TransactionDeadLetters(world.ledger).replay(letter).outcome is ReplayOutcome.RESOLVED
    assert TransactionDeadLetters(world.ledger).letters.count() == 0
    assert Intake(world.ledger).sweep(grace=0, queue_empty=True, limit=10).lost == []


def test_other_kinds_are_refused(world: World) -> None:
    dead_letters = TransactionDeadLetters(world.ledger)
    dead_letters.add_foreign(b"malformed-1", b"?", "no transaction")
    letter = dead_letters.letters.get(b"malformed-1")
    assert letter is not None
    with pytest.raises(ValueError, match="malformed"):
        dead_letters.replay(letter)
