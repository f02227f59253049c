"""Losing, rolling back or emptying Redis loses nothing that was final; nothing unverified is served."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from solders.keypair import Keypair

from banking.audit.audit import audit
from banking.blocks.sealer import Sealer
from banking.errors import BadBlock, Diverged, LedgerRestoring
from banking.execution.executor import SvmExecutor
from banking.execution.processor import Processor
from banking.execution.stage import BankingStage
from banking.intake.intake import Intake
from banking.ledger.ledger import Ledger
from banking.ledger.scan import scan_accounts
from banking.ledger.scripts import FINALIZE, LedgerScript
from banking.restore.consistency import ConsistencyState
from banking.restore.ledger_recovery import LedgerRecovery
from recovery.checkpoints import NoUsableCheckpoint
from tests.support.ledgers import SOL, World, new_world


@pytest.fixture
def world(any_redis: redis.Redis) -> World:
    """A ledger with a few final transfers."""
    world = new_world(any_redis)
    world.fund(3)
    world.seal()
    return world


@pytest.fixture
def ledger_recovery(world: World) -> LedgerRecovery:
    return LedgerRecovery(world.ledger, world.blocks)


def accounts(world: World) -> dict[bytes, bytes]:
    return {key: record for key, _, record in scan_accounts(world.ledger)}


def assert_sound(world: World) -> None:
    report = audit(world.ledger, world.blocks)
    assert [f"{check.id}: {check.detail}" for check in report.checks if not check.ok] == []


def pay(world: World, lamports: int = SOL) -> tuple[Any, Keypair]:
    target = Keypair()
    transaction = world.transfer(world.faucet, target.pubkey(), lamports)
    world.stage.process([transaction])
    return transaction, target


@pytest.mark.parametrize("checkpoints", [0, 1, 3, 4])
def test_emptied_redis_is_restored_to_the_byte(world: World, ledger_recovery: LedgerRecovery, checkpoints: int) -> None:
    """From genesis alone, from a full checkpoint, from incrementals, from a second full one."""
    targets = []
    for _ in range(checkpoints):
        targets.append(pay(world)[1])
        world.seal()
        ledger_recovery.create_checkpoint()
    transaction, target = pay(world)
    world.seal()
    before, state = accounts(world), world.ledger.state()
    world.ledger.client.flushall()
    assert ledger_recovery.check().state is ConsistencyState.LOST
    ledger_recovery.ensure_consistent()
    assert ledger_recovery.check().state is ConsistencyState.HEALTHY
    assert accounts(world) == before
    after = world.ledger.state()
    assert after.epoch == state.epoch + 1
    assert (after.seq, after.processed, after.burned) == (state.seq, state.processed, state.burned)
    assert after.slot > state.slot
    assert world.ledger.outcomes([transaction.signature])[0] is not None
    assert_sound(world)
    # Life goes on: blockhashes from before the loss are still good, and duplicates are known.
    world.stage.process([transaction])
    assert world.balance(target.pubkey()) == SOL
    pay(world)
    world.seal()
    assert_sound(world)


def test_blockhash_from_before_the_loss_is_still_valid(world: World, ledger_recovery: LedgerRecovery) -> None:
    transaction = world.transfer(world.faucet, Keypair().pubkey(), SOL)
    world.seal()
    world.ledger.client.flushall()
    ledger_recovery.ensure_consistent()
    world.stage.process([transaction])
    outcome = world.ledger.outcomes([transaction.signature])[0]
    assert outcome is not None
    assert outcome.ok


def test_rolled_back_redis_is_replayed_and_its_forked_tail_runs_again(
    world: World, ledger_recovery: LedgerRecovery
) -> None:
    client, keys = world.ledger.client, world.ledger.epoch_keys
    old: dict[str, Any] = {key: client.dump(key) for key in keys.all() if client.exists(key)}
    final, target = pay(world)
    world.seal()
    world.seal()
    client.delete(*keys.all())
    for key, value in old.items():
        client.restore(key, 0, value)
    # The rolled back server went on by itself for a while.
    forked, forked_target = pay(world)
    assert ledger_recovery.check().state is ConsistencyState.BEHIND
    ledger_recovery.ensure_consistent()
    assert world.balance(target.pubkey()) == SOL
    assert world.balance(forked_target.pubkey()) == 0
    waiting = Intake(world.ledger).sweep(grace=0, queue_empty=True, limit=10)
    assert waiting.lost == [forked.raw]
    world.stage.process([forked])
    assert world.balance(forked_target.pubkey()) == SOL
    assert world.ledger.outcomes([final.signature])[0] is not None
    assert not client.exists(*keys.all())
    assert_sound(world)


def test_late_worker_of_the_old_epoch_changes_nothing(world: World, ledger_recovery: LedgerRecovery) -> None:
    late = BankingStage(Ledger(world.ledger.client, world.ledger.keys.name), SvmExecutor())
    transaction = world.transfer(world.faucet, Keypair().pubkey(), SOL)
    assert late.ledger.epoch == 1
    world.ledger.client.flushall()
    ledger_recovery.ensure_consistent()
    with pytest.raises(Exception, match="restored"):
        late.process([transaction])
    assert world.ledger.outcomes([transaction.signature]) == [None]
    # It has learned of the new epoch, and works in it from now on.
    late.process([transaction])
    assert world.ledger.outcomes([transaction.signature]) != [None]
    assert_sound(world)


def test_late_sealer_of_the_old_epoch_changes_nothing(world: World, ledger_recovery: LedgerRecovery) -> None:
    pay(world)
    late = Sealer(Ledger(world.ledger.client, world.ledger.keys.name, epoch=1), world.blocks)
    world.ledger.client.flushall()
    ledger_recovery.ensure_consistent()
    before = world.blocks.newest()
    with pytest.raises(Exception, match="restored"):
        late.seal()
    assert world.blocks.newest() == before
    assert_sound(world)


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_damaged_checkpoint_is_passed_over(world: World, ledger_recovery: LedgerRecovery, damage: str) -> None:
    pay(world)
    world.seal()
    ledger_recovery.create_checkpoint(full=True)
    pay(world)
    world.seal()
    newest = ledger_recovery.create_checkpoint(full=True)
    before = accounts(world)
    name = next(
        n for n in world.blocks.archive.list(f"{ledger_recovery.store.folder}/{newest.id}") if n.endswith(".zst")
    )
    data = world.blocks.archive.get(name, 2**26)
    world.blocks.archive.delete(name)
    if damage != "delete":
        world.blocks.archive.put(name, data[:-5] if damage == "truncate" else data[:30] + b"~" + data[31:])
    world.ledger.client.flushall()
    ledger_recovery.ensure_consistent()
    assert accounts(world) == before
    assert newest.id not in ledger_recovery.store.ids()
    assert any(newest.id in name for name in world.blocks.archive.list("quarantine"))
    assert_sound(world)


def test_missing_block_in_the_middle_is_never_skipped(world: World, ledger_recovery: LedgerRecovery) -> None:
    pay(world)
    world.seal()
    world.seal()
    world.blocks.delete(2)
    world.ledger.client.flushall()
    with pytest.raises(BadBlock, match="slot 2"):
        ledger_recovery.ensure_consistent()
    with pytest.raises(LedgerRestoring):
        world.ledger.state()


def test_bad_checkpoints_and_no_genesis_is_refused(world: World, ledger_recovery: LedgerRecovery) -> None:
    pay(world)
    world.seal()
    made = ledger_recovery.create_checkpoint()
    for name in list(world.blocks.archive.list(f"{ledger_recovery.store.folder}/{made.id}")):
        if name.endswith(".zst"):
            world.blocks.archive.delete(name)
    world.blocks.delete(0)
    world.ledger.client.flushall()
    with pytest.raises(NoUsableCheckpoint):
        ledger_recovery.ensure_consistent()


def test_archive_that_knows_less_does_not_overwrite_the_ledger(world: World, ledger_recovery: LedgerRecovery) -> None:
    pay(world)
    world.seal()
    before = accounts(world)
    newest = world.blocks.newest()
    assert newest is not None
    world.blocks.delete(newest)
    report = ledger_recovery.ensure_consistent(keep_waiting=lambda _: False)
    assert report.state is ConsistencyState.ARCHIVE_BEHIND
    assert accounts(world) == before


def test_seal_cut_off_before_redis_heard_of_it_is_finished_by_the_next(
    world: World, ledger_recovery: LedgerRecovery
) -> None:
    pay(world)
    original = world.ledger.run

    def run(script: LedgerScript[Any], *args: Any, **more: Any) -> Any:
        if script is FINALIZE:
            raise ConnectionError("cut off")
        return original(script, *args, **more)

    world.ledger.run = run  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        Sealer(world.ledger, world.blocks).seal()
    world.ledger.run = original  # type: ignore[method-assign]
    assert ledger_recovery.check().state is ConsistencyState.HEALTHY
    world.seal()
    assert_sound(world)


def test_forged_block_is_refused(world: World, ledger_recovery: LedgerRecovery) -> None:
    """A whole new block with matching hashes, but signed by somebody else."""
    from banking.blocks.store import BlockStore
    from recovery.identity import Identity

    pay(world)
    world.seal()
    slot = world.blocks.newest()
    assert slot is not None
    block = world.blocks.read(slot)
    from banking.blocks.block import encode_body

    world.blocks.delete(slot)
    forger = BlockStore(world.blocks.archive, world.blocks.ledger, Identity.generate())
    forger.put(block.header, encode_body(block.entries, block.images))
    world.ledger.client.flushall()
    with pytest.raises(BadBlock, match="trusted key"):
        ledger_recovery.ensure_consistent()


def test_processor_is_unharmed_by_a_restore_in_between(world: World, ledger_recovery: LedgerRecovery) -> None:
    from banking.intake.dead_letters import TransactionDeadLetters

    processor = Processor(world.stage, Intake(world.ledger), TransactionDeadLetters(world.ledger))
    first, second = (world.transfer(world.faucet, Keypair().pubkey(), SOL) for _ in range(2))
    processor.run([first], enqueued_at=0, isolate=False)
    world.seal()
    world.ledger.client.flushall()
    ledger_recovery.ensure_consistent()
    processor.run([second], enqueued_at=0, isolate=False)
    assert world.ledger.outcomes([first.signature, second.signature]).count(None) == 0
    assert_sound(world)


def test_rolled_back_by_one_block_and_sealed_anew(world: World, ledger_recovery: LedgerRecovery) -> None:
    """The sealer is the first to work after the roll-back: the slot it closed waits for another block than is there."""
    client, keys = world.ledger.client, world.ledger.epoch_keys
    old: dict[str, Any] = {key: client.dump(key) for key in keys.all() if client.exists(key)}
    _, target = pay(world)
    world.seal()
    client.delete(*keys.all())
    for key, value in old.items():
        client.restore(key, 0, value)
    with pytest.raises(Diverged):
        world.seal()
    assert ledger_recovery.check().state is ConsistencyState.BEHIND
    ledger_recovery.ensure_consistent()
    assert world.balance(target.pubkey()) == SOL
    assert_sound(world)
