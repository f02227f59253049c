"""The word on which a host without the archive executes: about this ledger, this epoch and this run of Redis only."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from banking.ledger.ledger import Ledger
from banking.ledger.maintenance import server_run
from banking.restore.attestation import Attester, standing
from recovery.identity import Identity
from tests.support.ledgers import World, new_world
from tests.support.redis_servers import MakeRedis

IDENTITY = Identity.generate()


@pytest.fixture
def world(redis_client: redis.Redis) -> World:
    return new_world(redis_client)


def attest(world: World) -> None:
    Attester(world.ledger, IDENTITY).attest(server_run(world.ledger))


def test_a_verified_ledger_may_be_executed_on(world: World) -> None:
    assert "no host with the archive" in standing(world.ledger, ()).problem
    attest(world)
    found = standing(world.ledger, ())
    assert (found.problem, found.signer) == ("", IDENTITY.address)
    assert standing(world.ledger, [IDENTITY.public_key]).problem == ""
    world.seal()
    assert standing(world.ledger, ()).problem == ""


def test_without_a_ledger_it_says_where_to_start_one(redis_client: redis.Redis) -> None:
    assert "no ledger 'x'; start its instance" in standing(Ledger(redis_client, "x"), ()).problem


def test_a_key_that_is_not_trusted_counts_for_nothing(world: World) -> None:
    attest(world)
    assert "not among the trusted keys" in standing(world.ledger, [Identity.generate().public_key]).problem


def test_a_word_that_was_changed_counts_for_nothing(world: World) -> None:
    attest(world)
    client, key = world.ledger.client, world.ledger.keys.attested
    raw: Any = client.get(key)
    ledger_id = world.ledger.state().ledger_id.encode()
    client.set(key, raw.replace(ledger_id, ledger_id[::-1]))
    assert "wrong signature" in standing(world.ledger, ()).problem
    client.set(key, raw[:-1])
    assert "cannot be read" in standing(world.ledger, ()).problem


def test_after_a_roll_back_or_a_restore_it_must_be_said_anew(world: World) -> None:
    world.seal()
    attest(world)
    state = world.ledger.epoch_keys.state
    world.ledger.client.hset(state, "finalized", 0)
    assert "since it was restored" in standing(world.ledger, ()).problem
    world.ledger.client.hset(state, "finalized", 1)
    assert standing(world.ledger, ()).problem == ""
    world.ledger.client.hset(world.ledger.keys.meta, "epoch", 2)
    world.ledger.client.rename(state, world.ledger.keys.epoch(2).state)
    assert "since it was restored" in standing(world.ledger, ()).problem


@pytest.mark.processes
def test_after_a_restart_of_redis_it_must_be_said_anew(make_redis: MakeRedis) -> None:
    from recovery.connections import connect

    server = make_redis()
    with connect(server.url) as client:
        world = new_world(client)
        attest(world)
        assert standing(world.ledger, ()).problem == ""
        server.restart()
        assert "since this Redis server started" in standing(world.ledger, ()).problem
        attest(world)
        assert standing(world.ledger, ()).problem == ""
