"""A dead transaction comes back to life whole, on fakeredis and real Redis alike."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest
import redis
from solders.keypair import Keypair

from banking.intake.dead_letters import Burial, Revival
from banking.intake.intake import Intake
from banking.transaction import WireTransaction
from recovery.dead_letters import DeadLetter
from tests.ledgers import SOL, World, new_world


@pytest.fixture
def world(any_redis: redis.Redis) -> World:
    return new_world(any_redis)


@pytest.fixture
def wire(world: World) -> WireTransaction:
    """Buried after three attempts."""
    wire = world.transfer(world.faucet, Keypair().pubkey(), SOL)
    intake = Intake(world.ledger)
    intake.accept([(wire.signature, wire.raw)])
    for _ in range(3):
        intake.begin_attempt(wire.signature)
    assert Burial(world.ledger).bury(wire.signature, wire.raw, "killed its worker", 3)
    return wire


def letter_of(world: World, wire: WireTransaction) -> DeadLetter:
    return cast("DeadLetter", Burial(world.ledger).letters.get(wire.signature))


def test_it_is_back_in_intake_with_all_its_attempts(world: World, wire: WireTransaction) -> None:
    burial, intake = Burial(world.ledger), Intake(world.ledger)
    # A worker that is slow to die may count after the burial.
    world.ledger.client.hset(world.ledger.keys.attempts, cast("Any", wire.signature), "3")
    revived = burial.revive(letter_of(world, wire))
    assert revived.revival is Revival.REVIVED
    assert burial.letters.count() == 0
    assert intake.examine([(wire.signature, wire.raw)]) == [0]
    assert intake.sweep(grace=0, queue_empty=True, limit=10).lost == [wire.raw]
    world.stage.process([wire])
    state = world.ledger.state()
    assert (state.accepted, state.processed) == (1, 1)


def test_of_two_revivals_one_counts(world: World, wire: WireTransaction) -> None:
    burial, letter = Burial(world.ledger), letter_of(world, wire)
    assert burial.revive(letter).revival is Revival.REVIVED
    assert burial.revive(letter).revival is Revival.GONE


def test_another_letter_in_its_place_is_left_alone(world: World, wire: WireTransaction) -> None:
    burial = Burial(world.ledger)
    older = msgspec.structs.replace(letter_of(world, wire), reason="another one")
    assert burial.revive(older).revival is Revival.GONE
    assert burial.letters.count() == 1


def test_what_has_its_outcome_is_only_dropped(world: World, wire: WireTransaction) -> None:
    """As after a restore, when the archive knows of an outcome that the lost Redis had forgotten."""
    letter = letter_of(world, wire)
    other = world.transfer(world.faucet, Keypair().pubkey(), SOL)
    world.stage.process([other])
    status = world.ledger.epoch_keys.status
    outcome = world.ledger.client.hget(status, cast("Any", other.signature))
    world.ledger.client.hset(status, cast("Any", wire.signature), cast("Any", outcome))
    assert Burial(world.ledger).revive(letter).revival is Revival.RESOLVED
    assert Burial(world.ledger).letters.count() == 0
    assert Intake(world.ledger).sweep(grace=0, queue_empty=True, limit=10).lost == []


def test_other_kinds_are_refused(world: World) -> None:
    burial = Burial(world.ledger)
    burial.bury_foreign(b"malformed-1", b"?", "no transaction")
    letter = burial.letters.get(b"malformed-1")
    assert letter is not None
    with pytest.raises(ValueError, match="malformed"):
        burial.revive(letter)
