"""The lease on restoring: nobody waits long for a holder that was killed, and a slow one keeps it."""

from __future__ import annotations

import gc
import time

import pytest
import redis

from banking.errors import LeaseLost
from banking.restore import lease
from banking.restore.lease import RestoreLease
from tests.support.ledgers import World, new_world
from tests.support.waiting import wait_until


@pytest.fixture
def world(any_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.4)
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.05)
    return new_world(any_redis)


def test_a_holder_that_tells_no_progress_for_a_while_keeps_it(world: World) -> None:
    holder = RestoreLease(world.ledger)
    assert holder.take(0, "") > 0
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        assert RestoreLease(world.ledger).take(0, "") == 0
    holder.give_up()
    assert RestoreLease(world.ledger).take(0, "") > 0


def test_one_that_hangs_or_is_gone_loses_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = RestoreLease(world.ledger)
    holder.take(0, "")
    monkeypatch.setattr(lease, "HANGS_AFTER", 0.1)
    wait_until(lambda: RestoreLease(world.ledger).take(0, "") > 0, "the next one has the lease", timeout=10)
    gc.collect()  # that one is gone already, and gives no sign of life
    wait_until(lambda: RestoreLease(world.ledger).take(0, "") > 0, "another one has the lease", timeout=10)
    with pytest.raises(LeaseLost):
        holder.renew()
