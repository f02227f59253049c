"""What the ledger's scripts make of times that cannot be: they are clamped, on fakeredis and on a real server."""

from __future__ import annotations

import pytest
import redis

from banking.blocks.sealer import Sealer
from banking.intake.intake import MAX_PARKING, Intake
from banking.restore.lease import LEASE_SECONDS, RestoreLease
from tests.support.ledgers import World, new_world

HOUR_MS = 3_600_000


@pytest.fixture
def world(any_redis: redis.Redis) -> World:
    return new_world(any_redis)


def test_a_slot_opened_in_a_time_to_come_is_due_and_blocks_do_not_go_back(world: World) -> None:
    client, keys = world.ledger.client, world.ledger.epoch_keys
    for field in ("slot_time", "slot_opened"):
        client.hincrby(keys.state, field, HOUR_MS)
    before = world.ledger.state().slot_time_ms
    assert Sealer(world.ledger, world.blocks).seal(interval=60.0) is not None
    assert world.blocks.header(1).time_ms == before
    # From here on the interval counts again.
    assert Sealer(world.ledger, world.blocks).seal(interval=60.0) is None


def test_what_was_queued_in_a_time_to_come_is_found_when_lost(world: World) -> None:
    intake = Intake(world.ledger)
    (one,) = [world.transfer(world.faucet, world.faucet.pubkey(), 1)]
    intake.accept([(one.signature, one.raw)])
    world.ledger.client.zincrby(world.ledger.keys.queued, HOUR_MS, one.signature)
    intake.sweep(grace=60.0, queue_empty=True, limit=10)
    assert intake.sweep(grace=-1.0, queue_empty=True, limit=10).lost == [one.raw]


def test_nothing_is_parked_longer_than_anything_can_be(world: World) -> None:
    intake = Intake(world.ledger)
    (one,) = [world.transfer(world.faucet, world.faucet.pubkey(), 1)]
    intake.accept([(one.signature, one.raw)])
    intake.park([(one.signature, one.raw)], 10**6)
    keys, client = world.ledger.keys, world.ledger.client
    longest = world.ledger.server_ms() + MAX_PARKING * 1000
    assert 0 < (client.zscore(keys.parked, one.signature) or 0) <= longest
    client.zincrby(keys.parked, HOUR_MS, one.signature)
    assert intake.sweep(grace=60.0, queue_empty=True, limit=10).released == []
    longest = world.ledger.server_ms() + MAX_PARKING * 1000
    assert 0 < (client.zscore(keys.parked, one.signature) or 0) <= longest


def test_the_lease_of_a_dead_restorer_is_not_kept_for_the_hour(world: World) -> None:
    RestoreLease(world.ledger).take(0, "")
    restorer, client = world.ledger.keys.restorer, world.ledger.client
    client.pexpire(restorer, HOUR_MS)
    assert RestoreLease(world.ledger).take(0, "") == 0
    assert 0 < client.pttl(restorer) <= LEASE_SECONDS * 1000
