"""The audit finds each violation that is planted, and nothing in a healthy ledger."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import redis
from solders.keypair import Keypair

from banking.audit.audit import AuditReport, audit
from banking.blocks.block import encode_body
from banking.blocks.store import BlockStore
from banking.intake.intake import Intake
from banking.ledger.records import lamports_of
from banking.restore.ledger_recovery import LedgerRecovery
from banking.transaction import SignedTransaction
from recovery.checkpoints import Part
from recovery.identity import Identity
from tests.support.ledgers import SOL, World, new_world


@pytest.fixture
def world(any_redis: redis.Redis) -> World:
    """A ledger with some blocks, and outcomes that are not in a block yet."""
    world = new_world(any_redis)
    accounts = world.fund(4)
    world.seal()
    world.stage.process([world.transfer(accounts[0], accounts[1].pubkey(), SOL)])
    world.seal()
    world.stage.process([world.transfer(accounts[1], accounts[2].pubkey(), SOL)])
    return world


def broken(world: World) -> set[str]:
    """Ids of the invariants that the audit finds violated."""
    report = audit(world.ledger, world.blocks)
    assert report.ok == all(check.ok for check in report.checks)
    return {check.id for check in report.checks if not check.ok}


def last_transaction(world: World) -> SignedTransaction:
    return world.transfer(world.faucet, Keypair().pubkey(), SOL)


def test_healthy_ledger_passes(world: World) -> None:
    report: AuditReport = audit(world.ledger, world.blocks)
    assert [check.id for check in report.checks if not check.ok] == []
    assert report.transactions == 6
    assert len(report.checks) == 8


def test_lamports_from_nowhere(world: World) -> None:
    keys = world.ledger.epoch_keys
    key = bytes(world.faucet.pubkey())
    client: Any = world.ledger.client
    stored = client.hget(keys.accounts, key)
    client.hset(keys.accounts, key, (lamports_of(stored) + 1).to_bytes(8, "little") + stored[8:])
    assert {"I1", "I5"} <= broken(world)


def test_lost_account(world: World) -> None:
    keys = world.ledger.epoch_keys
    world.ledger.client.hdel(keys.accounts, bytes(world.faucet.pubkey()))
    world.ledger.client.hdel(keys.versions, bytes(world.faucet.pubkey()))
    assert "I5" in broken(world)


def test_account_out_of_nothing(world: World) -> None:
    world.ledger.client.hset(world.ledger.epoch_keys.accounts, b"x" * 32, b"y" * 60)
    assert "I5" in broken(world)


def test_signature_applied_twice(world: World) -> None:
    """As if status and message records had been lost: the same transaction is executed again."""
    transaction = last_transaction(world)
    world.stage.process([transaction])
    keys = world.ledger.epoch_keys
    world.ledger.client.delete(keys.status, keys.messages)
    world.stage.process([transaction])
    assert "I2" in broken(world)


def test_accepted_transaction_that_vanished(world: World) -> None:
    transaction = last_transaction(world)
    Intake(world.ledger).accept([(transaction.signature, transaction.raw)])
    assert broken(world) == set()
    world.ledger.client.hdel(world.ledger.keys.intake, transaction.signature)
    assert broken(world) == {"I3"}


def test_outcome_that_still_waits(world: World) -> None:
    transaction = last_transaction(world)
    world.stage.process([transaction])
    world.ledger.client.hset(world.ledger.keys.intake, transaction.signature, transaction.raw)
    assert "I3" in broken(world)


def test_outcome_told_differently(world: World) -> None:
    transaction = last_transaction(world)
    world.stage.process([transaction])
    key = world.ledger.epoch_keys.status
    value = world.ledger.client.hget(key, transaction.signature)
    assert isinstance(value, bytes)
    world.ledger.client.hset(key, transaction.signature, value + b"x")
    assert broken(world) == {"I4"}


def test_missing_block(world: World) -> None:
    world.blocks.delete(1)
    assert "I6" in broken(world)


def test_missing_newest_block(world: World) -> None:
    world.blocks.delete(world.ledger.state().finalized)
    assert {"I4", "I6"} <= broken(world)


def test_ledger_behind_its_archive(world: World) -> None:
    """Redis was rolled back to an older state."""
    keys = world.ledger.epoch_keys
    old: dict[Any, Any] = world.ledger.client.hgetall(keys.state)
    for _ in range(3):
        world.seal()
    world.ledger.client.hset(keys.state, mapping=old)
    assert "I7" in broken(world)


def test_left_over_epoch(world: World) -> None:
    world.ledger.client.hset(world.ledger.keys.meta, "epoch", "2")
    world.ledger.client.copy(world.ledger.keys.epoch(1).state, world.ledger.keys.epoch(2).state)
    world.ledger.forget_epoch()
    assert "I8" in broken(world)


def test_slots_sealed_while_the_audit_runs_are_no_violation(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def seal_then_look(blocks: BlockStore) -> int | None:
        for _ in range(3):
            world.seal()
        return find_newest(blocks)

    find_newest = BlockStore.newest
    monkeypatch.setattr(BlockStore, "newest", seal_then_look)
    assert broken(world) == set()


@pytest.fixture
def pruned(world: World) -> World:
    """The same ledger without its oldest blocks: replays begin at a checkpoint."""
    ledger_recovery = LedgerRecovery(world.ledger, world.blocks)
    for _ in range(4):
        world.stage.process([last_transaction(world)])
        world.seal()
        ledger_recovery.create_checkpoint(full=True)
    assert ledger_recovery.clean_up(keep=3, history_slots=0) > 0
    assert not world.blocks.exists(0)
    return world


def test_healthy_ledger_without_its_oldest_blocks_passes(pruned: World) -> None:
    pruned.stage.process([last_transaction(pruned)])
    report = audit(pruned.ledger, pruned.blocks)
    assert [f"{check.id} {check.detail}" for check in report.checks if not check.ok] == []
    assert "since the checkpoint of slot" in report.checks[1].detail


def test_faults_are_found_behind_a_checkpoint_too(pruned: World) -> None:
    transaction = last_transaction(pruned)
    pruned.stage.process([transaction])
    keys = pruned.ledger.epoch_keys
    pruned.ledger.client.delete(keys.status, keys.messages)
    pruned.stage.process([transaction])
    assert "I2" in broken(pruned)
    pruned.ledger.client.hdel(keys.accounts, bytes(pruned.faucet.pubkey()))
    assert "I5" in broken(pruned)


def test_dropped_blocks_without_a_checkpoint(world: World) -> None:
    world.blocks.delete(0)
    assert "I6" in broken(world)


def test_checkpoint_of_a_stranger(world: World) -> None:
    forger = BlockStore(world.blocks.archive, world.blocks.ledger, Identity.generate(), [own_key(world)])
    made = LedgerRecovery(world.ledger, forger).create_checkpoint()
    assert broken(world) == {"I7"}
    LedgerRecovery(world.ledger, world.blocks).store.quarantine(made.id)
    assert broken(world) == set()


def test_checkpoint_of_another_chain(world: World) -> None:
    """Well signed, and its slot has another block."""
    made = LedgerRecovery(world.ledger, world.blocks).create_checkpoint()
    facts = {**made.facts, "block_hash": bytes(32).hex()}
    LedgerRecovery(world.ledger, world.blocks).store.create(sequence=made.sequence, parts=[], facts=facts)
    assert broken(world) == {"I7"}


def test_checkpoint_with_other_accounts_than_the_blocks(world: World) -> None:
    made = LedgerRecovery(world.ledger, world.blocks).create_checkpoint()
    parts = [Part(f"ledger/{name}", []) for name in ("accounts", "statuses", "blockhashes")]
    LedgerRecovery(world.ledger, world.blocks).store.create(sequence=made.sequence + 1, parts=parts, facts=made.facts)
    assert broken(world) == {"I5"}


def test_block_of_a_fenced_epoch_behind_a_newer_one(world: World) -> None:
    """A late sealer got in after the fence: this must be impossible, so it is planted."""
    client, keys = world.ledger.client, world.ledger.keys
    client.flushall()
    LedgerRecovery(world.ledger, world.blocks).ensure_consistent()
    world.seal()
    head = world.blocks.header(world.ledger.state().finalized)
    late = msgspec.structs.replace(head, epoch=1, slot=head.slot + 1, parent=head.hash())
    world.blocks.put(late, encode_body([], {}))
    state = {"finalized": late.slot, "blockhash": late.hash(), "slot": late.slot + 1}
    client.hset(keys.epoch(2).state, mapping=state)  # type: ignore[arg-type]
    assert broken(world) == {"I8"}


def own_key(world: World) -> bytes:
    return world.blocks.identity.public_key
