"""Killed between any two steps of seal, checkpoint and restore: the next run completes or redoes it."""

from __future__ import annotations

import signal
import time

import pytest

from banking.blocks import sealer
from banking.restore import restoring
from banking.restore.consistency import ConsistencyState
from recovery.archive.local import archive as local
from recovery.checkpoints import recovery_manager, store, writing
from tests.support.durability.node import Node

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]

SEAL = [point for point in sealer.CRASH_POINTS if point != "seal.pruning"]
RESTORE = [*recovery_manager.CRASH_POINTS, *restoring.CRASH_POINTS]
OPENING = [f"{point}:1" for point in local.CRASH_POINTS]  # a restore writes one object: the block that opens the epoch


@pytest.mark.parametrize("point", [*SEAL, *local.CRASH_POINTS])
def test_seal(node: Node, point: str) -> None:
    transactions = node.pay(2)
    before = node.world.ledger.state()
    node.kill("seal", point)
    assert node.ledger_recovery.check().state is ConsistencyState.HEALTHY
    node.pay()
    node.world.seal()
    state = node.world.ledger.state()
    assert state.finalized - before.finalized == (2 if point == "seal.finalized" else 1)
    node.finals += transactions
    node.assert_sound()


@pytest.mark.parametrize("point", [*SEAL, *local.CRASH_POINTS])
def test_seal_and_then_all_of_redis_is_lost(node: Node, point: str) -> None:
    """A block that got its name is final, whether or not Redis ever heard of it."""
    (transaction,) = node.pay()
    slot = node.world.ledger.state().slot
    node.kill("seal", point)
    archived = node.world.blocks.exists(slot)
    node.empty()
    assert node.run("ensure") == 0
    node.world.ledger.forget_epoch()
    assert (node.world.ledger.outcomes([transaction.signature]) != [None]) == archived
    node.assert_sound()


def test_nobody_waits_long_for_a_restorer_that_was_killed(node: Node) -> None:
    node.empty()
    restorer = node.stop_at("ensure", "restore.loading")
    restorer.kill()
    killed = time.monotonic()
    node.ledger_recovery.ensure_consistent()
    assert time.monotonic() - killed < 5.0
    assert node.finish(restorer) == -signal.SIGKILL
    node.assert_sound()


def test_prune(node: Node) -> None:
    for _ in range(310):
        node.world.seal()
    node.kill("seal", "seal.pruning")
    assert node.world.ledger.outcomes([node.finals[0].signature]) != [None]
    assert node.run("seal") == 0
    assert node.world.ledger.outcomes([node.finals[0].signature]) == [None]
    node.finals.clear()
    node.assert_sound()


@pytest.mark.parametrize("point", [*writing.CRASH_POINTS, *local.CRASH_POINTS])
def test_checkpoint(node: Node, point: str) -> None:
    assert node.run("checkpoint") == 0
    node.pay_finally()
    node.kill("checkpoint", point)
    assert all(
        node.ledger_recovery.store.verify(checkpoint_id).ok for checkpoint_id in node.ledger_recovery.store.ids()
    )
    assert node.run("checkpoint") == 0
    node.empty()
    assert node.run("ensure") == 0
    node.assert_sound()


@pytest.mark.parametrize("point", [point for point in store.CRASH_POINTS if "delete" in point])
def test_clean_up(node: Node, point: str) -> None:
    for _ in range(8):
        node.pay_finally()
        node.ledger_recovery.create_checkpoint(full=True)
    node.kill("clean_up", point)
    node.empty()
    assert node.run("ensure") == 0
    node.assert_sound()
    assert node.run("clean_up") == 0
    assert len(node.ledger_recovery.store.ids()) == 3
    assert not node.world.blocks.exists(0)
    node.empty()
    assert node.run("ensure") == 0
    node.assert_sound()


@pytest.mark.parametrize("point", [*RESTORE, *OPENING])
def test_restore_of_an_emptied_redis(node: Node, point: str) -> None:
    node.ledger_recovery.create_checkpoint()
    node.pay_finally()
    before = node.accounts()
    node.empty()
    node.kill("ensure", point)
    if node.ledger_recovery.check().state is not ConsistencyState.HEALTHY:
        node.end_lease()
    assert node.run("ensure") == 0
    node.world.ledger.forget_epoch()
    assert node.accounts() == before
    assert not list(node.world.ledger.client.scan_iter(match="*:load-*"))
    node.pay_finally()
    node.assert_sound()


@pytest.mark.parametrize("point", [*restoring.CRASH_POINTS, "restore.accepted-again"])
def test_restore_of_a_rolled_back_redis_runs_the_forked_tail_again(node: Node, point: str) -> None:
    client, keys = node.world.ledger.client, node.world.ledger.epoch_keys
    dumped = {key: client.dump(key) for key in keys.all() if client.exists(key)}
    node.pay_finally()
    node.world.seal()
    client.delete(*keys.all())
    for key, value in dumped.items():
        client.restore(key, 0, value)  # type: ignore[arg-type]
    (forked,) = node.pay()
    node.kill("ensure", point)
    if node.ledger_recovery.check().state is not ConsistencyState.HEALTHY:
        node.end_lease()
    assert node.run("ensure") == 0
    assert client.hkeys(node.world.ledger.keys.intake) == [forked.signature]
    node.assert_sound()
    node.world.stage.process([forked])
    node.assert_sound()
