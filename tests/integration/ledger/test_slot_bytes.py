"""Bytes are bounded where they arise: a slot has a budget, and all that is archived can be read back (C1, C2)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import redis
from celery import Celery
from kombu.exceptions import OperationalError
from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from banking.admin.genesis import create_ledger
from banking.audit.audit import audit
from banking.blocks import block as blocks_module
from banking.blocks.sealer import Sealer
from banking.blocks.store import BlockStore
from banking.errors import BlockTooLarge
from banking.execution.batch import BatchReport
from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage
from banking.intake.intake import Acceptance, Intake
from banking.ledger.ledger import Ledger
from banking.ledger.limits import LOAD_BYTES, MIB, SLOT_LIMITS, SlotLimits
from banking.ledger.records import pack_account
from banking.ledger.scripts import CLOSE
from banking.restore.consistency import ConsistencyState
from banking.restore.ledger_recovery import LedgerRecovery
from banking.transaction import SignedTransaction, VerifiedTransaction, verify
from recovery.archive import MemoryArchive
from recovery.connections import connect
from recovery.identity import Identity
from tasks.enqueue import request_seal
from tests.support.ledgers import SOL, World, new_world, sign

SMALL = SlotLimits(shared=10_000, most=40_000)
#: What Solana asks of an account of 10 MiB, and then some.
RENT = 80 * SOL


@pytest.fixture
def patient(redis_url: str) -> Iterator[redis.Redis]:
    """A client that waits for dozens of MiB on a busy machine."""
    with connect(redis_url, timeout=60.0) as client:
        yield client


def small_world(client: redis.Redis, limits: SlotLimits = SMALL) -> World:
    world = new_world(client, programs=False)
    ledger = Ledger(client, world.ledger.keys.name, limits=limits)
    return World(ledger, world.blocks, world.faucet, BankingStage(ledger, SvmExecutor()))


def world_with_large_accounts(client: redis.Redis, count: int, size: int = 10 * MIB) -> tuple[World, list[Pubkey]]:
    """A ledger with accounts of `size` random bytes, which do not compress."""
    ledger, faucet, large = Ledger(client, "large"), Keypair(), [Pubkey.new_unique() for _ in range(count)]
    blocks = BlockStore(MemoryArchive(), "large", Identity.generate())
    owner = Pubkey.default()
    accounts = {
        bytes(key): pack_account(Account(lamports=RENT, data=os.urandom(size), owner=owner, executable=False))
        for key in large
    }
    accounts[bytes(faucet.pubkey())] = pack_account(
        Account(lamports=1_000_000 * SOL, data=b"", owner=owner, executable=False)
    )
    create_ledger(ledger, blocks, accounts)
    return World(ledger, blocks, faucet, BankingStage(ledger, SvmExecutor())), large


def pay_each(world: World, targets: list[Pubkey], lamports: int = SOL) -> VerifiedTransaction:
    """One transaction that writes all of `targets`."""
    payer = world.faucet
    each = [transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=key, lamports=lamports)) for key in targets]
    return verify(bytes(sign(each, [payer], world.blockhash())))


def assert_sound(world: World) -> None:
    report = audit(world.ledger, world.blocks)
    assert [f"{check.id}: {check.detail}" for check in report.checks if not check.ok] == []


def assert_restorable(world: World) -> None:
    """Redis loses everything, and the ledger comes back byte for byte."""
    client: Any = world.ledger.client
    before = client.hgetall(world.ledger.epoch_keys.accounts)
    client.flushall()
    world.ledger.forget_epoch()
    LedgerRecovery(world.ledger, world.blocks).ensure_consistent()
    assert client.hgetall(world.ledger.epoch_keys.accounts) == before


def test_what_a_full_slot_has_no_room_for_waits_for_the_next_which_opens_early(any_redis: redis.Redis) -> None:
    world = small_world(any_redis)
    transactions = [world.transfer(world.faucet, Keypair().pubkey(), SOL) for _ in range(64)]
    report = world.stage.process(transactions)
    assert len(report.committed) > 5
    assert len(report.committed) + len(report.full) == 64
    assert report.conflicts == []
    assert world.ledger.state().slot_bytes <= SMALL.shared
    sealer = Sealer(world.ledger, world.blocks)
    sealed = sealer.seal(interval=3600.0)
    assert sealed is not None, "a full slot is due at once"
    assert sealed.entries == len(report.committed)
    assert sealer.seal(interval=3600.0) is None, "an empty one is not"
    rounds = 0
    while report.full:
        report = world.stage.process(report.full)
        assert report.committed
        world.seal()
        rounds += 1
    assert world.ledger.state().processed == 64
    assert 2 < rounds < 16
    assert_sound(world)


def test_bytes_are_counted_as_the_block_will_have_them(any_redis: redis.Redis) -> None:
    world = small_world(any_redis, SLOT_LIMITS)
    one, other = world.fund(2)
    world.seal()
    balance = world.balance(one.pubkey())
    # Written again and again, emptied, and made anew: one image each.
    for lamports in (1, 2):
        assert world.stage.process([world.transfer(one, other.pubkey(), SOL + lamports)]).committed
    rest = balance - 2 * SOL - 3 - 3 * 5000
    assert world.stage.process([world.transfer(one, other.pubkey(), rest)]).committed
    assert world.balance(one.pubkey()) == 0
    assert_sound(world)
    assert world.stage.process([world.transfer(other, one.pubkey(), SOL)]).committed
    assert_sound(world)
    counted = world.ledger.state().slot_bytes
    world.seal()
    newest = world.blocks.newest()
    assert newest is not None
    block = world.blocks.read(newest)
    assert len(block.images) == 2
    assert 0.8 * counted < block.header.body_bytes <= counted


def test_a_wrong_count_of_bytes_is_found_by_the_audit(any_redis: redis.Redis) -> None:
    world = small_world(any_redis)
    assert world.stage.process([world.transfer(world.faucet, Keypair().pubkey(), SOL)]).committed
    world.ledger.client.hincrby(world.ledger.epoch_keys.state, "bytes", -1)
    report = audit(world.ledger, world.blocks)
    assert [check.id for check in report.checks if not check.ok] == ["I4"]


def test_a_large_transaction_goes_on_top_of_what_is_shared_one_a_slot(any_redis: redis.Redis) -> None:
    world = small_world(any_redis, SlotLimits(shared=2_000, most=10_000))
    transactions = [pay_each(world, [Pubkey.new_unique() for _ in range(12)], SOL + n) for n in range(3)]
    small = [world.transfer(world.faucet, Keypair().pubkey(), SOL) for _ in range(1)]
    assert len(world.stage.process(small).committed) == 1
    report = world.stage.process(transactions)
    assert (report.committed, len(report.full)) == (transactions[:1], 2)
    assert world.ledger.state().slot_bytes > 2_000
    assert world.stage.process([world.transfer(world.faucet, Keypair().pubkey(), SOL)]).full
    world.seal()
    assert world.stage.process(transactions[1:]).committed == transactions[1:2]
    assert_sound(world)


@pytest.mark.real_redis
def test_many_transfers_to_an_account_of_10_mib_are_final_and_can_be_read_back(patient: redis.Redis) -> None:
    """The issue's batch of 64 made a block of 671 MB; here are 12 of them, in a slot of a few images."""
    world, (large,) = world_with_large_accounts(patient, 1)
    transactions = [world.transfer(world.faucet, large, SOL + n) for n in range(12)]
    committed = finish(world, transactions)
    assert committed == 12
    assert_sound(world)
    assert_restorable(world)


@pytest.mark.real_redis
def test_more_than_a_block_holds_in_one_batch_goes_into_several(patient: redis.Redis) -> None:
    world, large = world_with_large_accounts(patient, 6)
    assert finish(world, [world.transfer(world.faucet, key, SOL) for key in large]) == 6
    for block in world.blocks.follow(1, None):
        assert block.header.body_bytes < SLOT_LIMITS.shared
    assert_sound(world)


def finish(world: World, transactions: Sequence[SignedTransaction]) -> int:
    """Process and seal until nothing waits; returns how many were committed."""
    report, committed = BatchReport(full=list(transactions)), 0
    while report.full:
        report = world.stage.process(report.full)
        assert report.committed
        assert report.conflicts == []
        committed += len(report.committed)
        assert world.ledger.state().slot_bytes <= SLOT_LIMITS.most
        world.seal()
    return committed


@pytest.mark.real_redis
def test_what_loads_more_than_64_mib_is_refused_as_on_solana_for_its_fee(patient: redis.Redis) -> None:
    world, large = world_with_large_accounts(patient, 8)
    most = pay_each(world, large[:3])
    named = [AccountMeta(key, False, False) for key in large]
    params = TransferParams(from_pubkey=world.faucet.pubkey(), to_pubkey=Keypair().pubkey(), lamports=SOL)
    paid = transfer(params)
    too_much = verify(bytes(sign([Instruction(paid.program_id, paid.data, [*paid.accounts, *named])], [world.faucet],
                                 world.blockhash())))  # fmt: skip
    before = world.balance(world.faucet.pubkey())
    report = world.stage.process([most, too_much])
    assert (report.committed, report.full) == ([most], [too_much])
    world.seal()
    assert world.stage.process([too_much]).committed
    first, second = world.ledger.outcomes([too_much.signature, most.signature])
    assert first is not None
    assert second is not None
    assert (first.err, first.fee) == ('"MaxLoadedAccountsDataSizeExceeded"', 5000)
    assert second.ok
    assert world.balance(world.faucet.pubkey()) == before - 2 * 5000 - 3 * SOL
    simulated = world.stage.simulate(too_much)
    assert (simulated.result.err, simulated.result.fee) == ('"MaxLoadedAccountsDataSizeExceeded"', 5000)
    world.seal()
    assert_sound(world)


@pytest.mark.real_redis
def test_a_load_answers_a_bounded_number_of_bytes(patient: redis.Redis) -> None:
    world, large = world_with_large_accounts(patient, 8)
    keys = [bytes(world.faucet.pubkey()), *map(bytes, large)]
    loaded = world.ledger.load([], [], keys, {})
    assert sum(map(len, loaded.records.values())) < LOAD_BYTES + 6 * 11 * MIB
    assert loaded.left_out
    assert loaded.left_out | set(loaded.records) == set(keys)
    at_hand = {key: loaded.versions[key] for key in loaded.versions}
    rest = world.ledger.load([], [], keys, at_hand)
    assert not rest.left_out
    assert all(rest.records[key] for key in loaded.left_out)


def test_closed_slot_that_no_block_can_hold_is_found_and_its_transactions_run_again(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an older version could leave it: nothing is final that cannot be read, and nothing stands still for good."""
    world = small_world(redis_client, SLOT_LIMITS)
    world.seal()
    transactions = [world.transfer(world.faucet, Keypair().pubkey(), SOL) for _ in range(8)]
    assert len(world.stage.process(transactions).committed) == 8
    monkeypatch.setitem(blocks_module._MAX_BODY_BYTES, blocks_module.MAGIC, 1_000)
    world.ledger.client.hset(world.ledger.epoch_keys.state, "bytes", 1)
    for _ in range(2):
        with pytest.raises(BlockTooLarge):
            world.seal()
    ledger_recovery = LedgerRecovery(world.ledger, world.blocks)
    report = ledger_recovery.check()
    assert (report.state, report.needs_restore) == (ConsistencyState.UNSEALABLE, True)
    assert "more than a block" in " ".join(check.detail for check in audit(world.ledger, world.blocks).checks)
    assert ledger_recovery.ensure_consistent().state is ConsistencyState.HEALTHY
    world.ledger.forget_epoch()
    assert len(world.stage.process(transactions).committed) == 8
    monkeypatch.undo()
    world.seal()
    assert_sound(world)


def test_intake_is_refused_when_the_open_slot_is_full_and_the_one_before_waits(redis_client: redis.Redis) -> None:
    world = small_world(redis_client)
    keys = world.ledger.epoch_keys
    transactions = [world.transfer(world.faucet, Keypair().pubkey(), SOL) for _ in range(64)]
    again = world.stage.process(transactions).full
    assert world.ledger.run(CLOSE, [world.ledger.epoch, 0])
    world.stage.process(again)
    late = world.transfer(world.faucet, Keypair().pubkey(), SOL)
    pair = (late.signature, late.raw)
    # A seal that takes no longer than seals do turns nobody away.
    long_ago = world.ledger.state().closing_time_ms - 2_100
    world.ledger.client.hset(keys.state, "closing_time", long_ago)
    assert Intake(world.ledger).accept([pair]).answers == [Acceptance.UNSEALED]
    world.seal()
    assert Intake(world.ledger).accept([pair]).answers == [Acceptance.ACCEPTED]


def test_a_final_block_that_cannot_be_read_back_is_found_by_the_audit(
    any_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an older version could archive, and nobody noticed until Redis was lost."""
    world = small_world(any_redis, SLOT_LIMITS)
    assert world.stage.process([world.transfer(world.faucet, Keypair().pubkey(), SOL) for _ in range(8)]).committed
    world.seal()
    assert_sound(world)
    monkeypatch.setitem(blocks_module._MAX_BODY_BYTES, blocks_module.MAGIC, 1_000)
    report = audit(world.ledger, world.blocks)
    assert not report.ok
    assert "the most is 1000" in " ".join(check.detail for check in report.checks if check.id == "I6")


def test_a_seal_is_asked_for_and_may_fail_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request is a hint: a broker that is away costs nothing but the time until beat asks."""
    sent: list[str] = []
    app = Celery("test", set_as_current=False, broker="memory://")
    monkeypatch.setattr(app, "send_task", lambda name, **_: sent.append(name))
    request_seal(app)
    assert sent == ["blocks.seal"]

    def away(name: str, **_: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(app, "send_task", away)
    request_seal(app)
