"""Redis emptied, replaced, or restarted from an old file: found, and restored from the archive."""

from __future__ import annotations

import shutil

import pytest
from solders.keypair import Keypair

from banking.errors import LedgerMissing, LedgerRestoring
from banking.intake.intake import Intake
from banking.restore.consistency import ConsistencyState
from config.sections import Fsync
from tests.support.durability.node import Node
from tests.support.ledgers import SOL

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]


def test_flushall_is_noticed_by_the_next_commit_and_nothing_final_is_lost(node: Node) -> None:
    node.pay()
    late = node.world.transfer(node.world.faucet, Keypair().pubkey(), SOL)
    node.empty()
    with pytest.raises(LedgerMissing):
        node.world.stage.process([late])
    assert node.run("ensure") == 0
    node.world.stage.process([late])
    assert node.world.ledger.outcomes([late.signature]) != [None]
    node.assert_sound()


def test_redis_replaced_by_an_empty_one(own_node: Node) -> None:
    before = own_node.accounts()
    own_node.server.stop()
    shutil.rmtree(own_node.server.folder)
    own_node.server.start()
    assert own_node.ledger_recovery.check().state is ConsistencyState.LOST
    assert own_node.run("ensure") == 0
    own_node.world.ledger.forget_epoch()
    assert own_node.accounts() == before
    own_node.assert_sound()


def test_redis_restarted_from_an_old_file(own_node: Node) -> None:
    """The file was copied, life went on, the copy was put back: final blocks are replayed, the fork runs again."""
    old = own_node.server.folder.with_name("old")
    early = own_node.world.transfer(own_node.world.faucet, Keypair().pubkey(), SOL)
    Intake(own_node.world.ledger).accept([(early.signature, early.raw)])
    own_node.server.stop()
    shutil.copytree(own_node.server.folder, old)
    own_node.server.start()
    own_node.world.stage.process([early])
    own_node.pay_finally(5)
    own_node.finals.append(early)
    own_node.world.seal()
    own_node.server.stop()
    shutil.rmtree(own_node.server.folder)
    shutil.copytree(old, own_node.server.folder)
    own_node.server.start()
    (forked,) = own_node.pay()
    assert own_node.ledger_recovery.check().state is ConsistencyState.BEHIND
    assert own_node.run("ensure") == 0
    own_node.world.ledger.forget_epoch()
    # What intake still held is final by now, and what the fork had processed waits to run again.
    assert own_node.world.ledger.client.hkeys(own_node.world.ledger.keys.intake) == [forked.signature]
    own_node.world.stage.process([forked])
    own_node.assert_sound()


def test_rolled_back_by_more_than_the_history_of_statuses(node: Node) -> None:
    """Nothing that became final meanwhile gets a second outcome, although Redis has forgotten the first."""
    client, keys = node.world.ledger.client, node.world.ledger.epoch_keys
    early, queued = (node.world.transfer(node.world.faucet, Keypair().pubkey(), SOL + n) for n in range(2))
    node.world.stage.process([early])
    Intake(node.world.ledger).accept([(queued.signature, queued.raw)])
    everything = [*keys.all(), node.world.ledger.keys.intake, node.world.ledger.keys.queued]
    dumped = {key: client.dump(key) for key in everything if client.exists(key)}
    node.world.stage.process([queued])
    for _ in range(320):
        node.world.seal()
    client.delete(*everything)
    for key, value in dumped.items():
        client.restore(key, 0, value)  # type: ignore[arg-type]
    assert node.run("ensure") == 0
    node.world.ledger.forget_epoch()
    assert client.hlen(node.world.ledger.keys.intake) == 0
    assert node.world.ledger.outcomes([early.signature, queued.signature]) == [None, None]
    node.finals.clear()
    node.assert_sound()


def test_emptied_in_the_middle_of_a_restore(node: Node) -> None:
    """Two restorers that do not know of each other, and get the same epoch number: one of them serves."""
    node.ledger_recovery.create_checkpoint()
    node.pay_finally()
    before = node.accounts()
    node.empty()
    first = node.stop_at("ensure_or_leave", "restore.loaded")
    node.empty()
    assert node.run("ensure") == 0
    node.world.ledger.forget_epoch()
    (late,) = node.pay()
    assert node.resume(first) == 0
    assert node.world.ledger.outcomes([late.signature]) != [None]
    assert {key: node.accounts()[key] for key in before.keys() - {bytes(node.world.faucet.pubkey())}} == {
        key: record for key, record in before.items() if key != bytes(node.world.faucet.pubkey())
    }
    assert not list(node.world.ledger.client.scan_iter(match="*:load-*"))
    node.world.seal()
    node.assert_sound()


@pytest.mark.parametrize("point", ["restore.fenced", "restore.loaded", "restore.opened", "restore.forgotten"])
def test_restorer_paused_until_another_has_restored_changes_nothing(node: Node, point: str) -> None:
    node.ledger_recovery.create_checkpoint()
    node.empty()
    late = node.stop_at("ensure_or_leave", point)
    node.end_lease()
    assert node.run("ensure") == 0
    node.world.ledger.forget_epoch()
    epoch = node.world.ledger.epoch
    node.pay_finally()
    waiting = node.world.transfer(node.world.faucet, Keypair().pubkey(), SOL)
    Intake(node.world.ledger).accept([(waiting.signature, waiting.raw)])
    before = node.accounts()
    node.resume(late)
    node.world.ledger.forget_epoch()
    assert node.world.ledger.epoch == epoch
    assert node.accounts() == before
    assert node.world.ledger.client.hlen(node.world.ledger.keys.intake) == 1
    assert not list(node.world.ledger.client.scan_iter(match="*:load-*"))
    node.assert_sound()


@pytest.mark.parametrize("point", ["restore.fenced", "restore.loading", "restore.loaded", "restore.opened"])
def test_redis_restarted_from_an_older_file_in_the_middle_of_a_restore(own_node: Node, point: str) -> None:
    """The fence, the lease and part of what was loaded are gone again."""
    old = own_node.server.folder.with_name("old")
    own_node.server.stop()
    shutil.copytree(own_node.server.folder, old)
    own_node.server.start()
    own_node.pay_finally(3)
    own_node.world.seal()
    own_node.world.ledger.client.hset(own_node.world.ledger.epoch_keys.state, "finalized", 1)
    restorer = own_node.stop_at("ensure_or_leave", point)
    own_node.server.kill()
    shutil.rmtree(own_node.server.folder)
    shutil.copytree(old, own_node.server.folder)
    own_node.server.start()
    own_node.resume(restorer)
    assert own_node.run("ensure") == 0
    own_node.assert_sound()


def test_part_of_the_load_lost_in_a_crash_of_redis_is_not_served(node: Node) -> None:
    """With fsync every second a crash takes the end of what was loaded, and leaves the lease."""
    node.ledger_recovery.create_checkpoint()
    node.empty()
    restorer = node.stop_at("ensure_or_leave", "restore.opened")
    (blockhashes,) = node.world.ledger.client.scan_iter(match="*:load-*:blockhashes")
    node.world.ledger.client.delete(blockhashes)
    node.resume(restorer)
    with pytest.raises(LedgerRestoring):
        node.world.ledger.state()
    assert node.run("ensure") == 0
    node.assert_sound()


def test_submit_during_a_restore_is_refused_whole(node: Node) -> None:
    node.empty()
    restorer = node.stop_at("ensure", "restore.loaded")
    late = node.finals[0]
    with pytest.raises(LedgerRestoring):
        Intake(node.world.ledger).accept([(late.signature, late.raw)])
    assert not node.world.ledger.client.exists(node.world.ledger.keys.intake)
    assert node.resume(restorer) == 0
    assert node.run("ensure") == 0
    node.assert_sound()


def test_processed_survives_a_killed_redis_with_fsync_always(own_node: Node) -> None:
    own_node.server.stop()
    own_node.server._fsync = Fsync.ALWAYS
    own_node.server.start()
    transactions = own_node.pay(3)
    own_node.server.kill()
    own_node.server.start()
    assert own_node.ledger_recovery.check().state is ConsistencyState.HEALTHY
    assert None not in own_node.world.ledger.outcomes([transaction.signature for transaction in transactions])
    own_node.assert_sound()
