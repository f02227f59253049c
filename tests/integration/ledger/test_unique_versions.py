"""Sequence numbers come again when Redis loses an unsealed tail; versions must not (C4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import AllocateParams, CreateAccountParams, allocate, create_account

from banking.audit.audit import audit
from banking.errors import NewerLayout, OutdatedLayout
from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage
from banking.ledger.commit_request import CommitRequest
from banking.ledger.layout import LAYOUT
from banking.ledger.ledger import CommitResult, Ledger
from banking.ledger.records import pack_account
from banking.ledger.scan import scan_accounts
from banking.ledger.versions import sequence
from banking.restore.consistency import ConsistencyState
from banking.restore.ledger_recovery import LedgerRecovery
from banking.transaction import SignedTransaction, verify
from tests.support.ledgers import SOL, World, new_world, sign

pytestmark = pytest.mark.real_redis


@pytest.fixture
def world(redis_client: redis.Redis) -> World:
    return new_world(redis_client, programs=False)


class PausedLedger(Ledger):
    """Stands still between a load and its commit, while `meanwhile` happens; `codes` are the commit's answers."""

    def __init__(self, client: redis.Redis, name: str, meanwhile: Callable[[], object]) -> None:
        super().__init__(client, name)
        self.meanwhile: Callable[[], object] | None = meanwhile
        self.codes: list[str] = []

    def commit(self, entries: Any, versions: Any, *args: Any, **more: Any) -> CommitResult:
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            happens()
        answer = super().commit(entries, versions, *args, **more)
        self.codes.append(answer.codes)
        return answer


def paused(world: World, meanwhile: Callable[[], object]) -> tuple[BankingStage, PausedLedger]:
    ledger = PausedLedger(world.ledger.client, world.ledger.keys.name, meanwhile)
    return BankingStage(ledger, SvmExecutor()), ledger


def copy_of(client: Any) -> dict[bytes, bytes]:
    """All of Redis, as in a file that is put back later."""
    return {key: client.dump(key) for key in client.keys("*")}


def put_back(client: Any, copy: dict[bytes, bytes]) -> None:
    client.delete(*client.keys("*"))
    for key, value in copy.items():
        client.restore(key, 0, value)


def commit_all(world: World, *transactions: SignedTransaction) -> None:
    assert len(world.stage.process(list(transactions)).committed) == len(transactions)


def test_commit_on_a_read_from_before_a_lost_tail_is_a_conflict(world: World) -> None:
    """An account of 11 SOL paid 400: its worker had seen 501, under a sequence number that was handed out again."""
    rich, shop = Keypair(), Keypair().pubkey()
    commit_all(world, world.transfer(world.faucet, rich.pubkey(), 11 * SOL))
    world.seal()
    before = copy_of(world.ledger.client)
    commit_all(world, world.transfer(world.faucet, rich.pubkey(), 490 * SOL))
    payment = world.transfer(rich, shop, 400 * SOL)

    def lose_the_tail() -> None:
        put_back(world.ledger.client, before)
        commit_all(world, world.transfer(rich, Keypair().pubkey(), SOL))

    stage, ledger = paused(world, lose_the_tail)
    stage.process([payment])
    assert ledger.codes[0] == "C"
    (outcome,) = world.ledger.outcomes([payment.signature])
    assert outcome is not None
    assert not outcome.ok, "10 SOL are not enough for 400"
    assert world.balance(shop) == 0
    world.seal()
    report = audit(world.ledger, world.blocks)
    assert report.ok, report.checks


def test_same_transaction_under_the_same_number_on_another_state_is_another_version(world: World) -> None:
    """Clients send again what was lost: it may get its old number, on accounts that hold something else now."""
    one, other, shop = Keypair(), Keypair(), Keypair().pubkey()
    commit_all(world, *(world.transfer(world.faucet, who.pubkey(), 11 * SOL) for who in (one, other)))
    world.seal()
    before = copy_of(world.ledger.client)
    again = world.transfer(one, other.pubkey(), SOL)
    commit_all(world, world.transfer(world.faucet, other.pubkey(), 490 * SOL), again)
    payment = world.transfer(other, shop, 400 * SOL)

    def lose_the_tail() -> None:
        put_back(world.ledger.client, before)
        commit_all(world, world.transfer(world.faucet, Keypair().pubkey(), SOL), again)

    stage, ledger = paused(world, lose_the_tail)
    stage.process([payment])
    assert ledger.codes[0] == "C"
    assert world.balance(shop) == 0
    world.seal()
    report = audit(world.ledger, world.blocks)
    assert report.ok, report.checks


def test_commit_that_is_sent_again_after_its_tail_was_lost_applies_on_what_it_had_read(world: World) -> None:
    """The reply was lost with the connection, redis-py sends the command again, to a Redis that forgot the first."""
    rich, shop = Keypair(), Keypair().pubkey()
    commit_all(world, world.transfer(world.faucet, rich.pubkey(), 500 * SOL))
    world.seal()
    before = copy_of(world.ledger.client)
    sent: list[tuple[list[CommitRequest], Any]] = []

    class Recorded(Ledger):
        def commit(self, entries: Any, versions: Any, *args: Any, **more: Any) -> CommitResult:
            sent.append((entries, versions))
            return super().commit(entries, versions, *args, **more)

    first = world.transfer(rich, shop, 400 * SOL)
    BankingStage(Recorded(world.ledger.client, world.ledger.keys.name), SvmExecutor()).process([first])
    put_back(world.ledger.client, before)
    commit_all(world, world.transfer(world.faucet, rich.pubkey(), SOL))
    assert world.ledger.commit(*sent[0]).codes == "C"
    put_back(world.ledger.client, before)
    assert world.ledger.commit(*sent[0]).codes == "A"
    assert world.ledger.commit(*sent[0]).codes == "D"
    assert world.balance(shop) == 400 * SOL


def test_every_version_names_the_transaction_that_wrote_it(world: World) -> None:
    payer, made = world.faucet.pubkey(), Keypair()
    params = CreateAccountParams(
        from_pubkey=payer, to_pubkey=made.pubkey(), lamports=SOL, space=8, owner=Pubkey.new_unique()
    )
    creation = verify(bytes(sign([create_account(params)], [world.faucet, made], world.blockhash())))
    commit_all(world, creation)
    client: Any = world.ledger.client
    version = client.hget(world.ledger.epoch_keys.versions, bytes(made.pubkey()))
    number, _, rest = version.partition(b":")
    assert int(number) == 2
    assert rest.startswith(creation.signature[:16])
    assert audit(world.ledger, world.blocks).ok
    # Written by something else under the same number: not the ledger's.
    client.hset(world.ledger.epoch_keys.versions, bytes(made.pubkey()), number + b":" + bytes(24))
    bad = {check.id for check in audit(world.ledger, world.blocks).checks if not check.ok}
    assert bad == {"I5"}


def test_a_plain_account_is_its_own_version(world: World) -> None:
    """Lamports and the number of the last write, and nothing beside them: 16 bytes for most accounts that there are."""
    target = Keypair().pubkey()
    commit_all(world, world.transfer(world.faucet, target, SOL))
    client: Any = world.ledger.client
    keys = world.ledger.epoch_keys
    assert client.hget(keys.accounts, bytes(target)) == SOL.to_bytes(8, "little") + b"2"
    assert not client.hexists(keys.versions, bytes(target))
    assert world.ledger.account(bytes(target)) == pack_account(Account(SOL, b"", Pubkey.default()))
    assert audit(world.ledger, world.blocks).ok
    # Written by something else: the same lamports under a number that did not write them.
    client.hset(keys.accounts, bytes(target), SOL.to_bytes(8, "little") + b"1")
    bad = {check.id for check in audit(world.ledger, world.blocks).checks if not check.ok}
    assert bad == {"I5"}


def test_an_account_that_becomes_plain_leaves_no_version_behind(world: World) -> None:
    """It gets data and an owner, and is given back to the system program; each form is compared as what it is."""
    client: Any = world.ledger.client
    keys, made = world.ledger.epoch_keys, Keypair()
    name = bytes(made.pubkey())
    allocate_it = allocate(AllocateParams(pubkey=made.pubkey(), space=8))
    commit_all(world, world.transfer(world.faucet, made.pubkey(), SOL))
    seen = world.ledger.load([], [], [name], {})
    commit_all(world, verify(bytes(sign([allocate_it], [world.faucet, made], world.blockhash()))))
    assert client.hexists(keys.versions, name)
    stale = CommitRequest(b"s" * 64, b"h" * 32, bytes(world.blockhash()), [name], 1, True, b"", b"raw", {})
    assert world.ledger.commit([stale], seen.versions).codes == "C"
    seen = world.ledger.load([], [], [name], {})
    plain = pack_account(Account(SOL, b"", Pubkey.default()))
    shrink = CommitRequest(b"p" * 64, b"i" * 32, bytes(world.blockhash()), [name], 1, True, b"", b"raw", {name: plain})
    assert world.ledger.commit([shrink], seen.versions).codes == "A"
    assert not client.hexists(keys.versions, name)
    assert world.ledger.account(name) == plain
    assert world.ledger.commit([stale], seen.versions).codes == "C"


def test_ledger_in_the_layout_of_an_older_version_is_restored_before_it_is_served(world: World) -> None:
    """Versions of layout 1 are bare numbers, so nothing may be compared with them."""
    client: Any = world.ledger.client
    final, tail = (world.transfer(world.faucet, Keypair().pubkey(), SOL) for _ in range(2))
    commit_all(world, final)
    world.seal()
    commit_all(world, tail)
    as_layout_1(world)
    ledger = Ledger(client, world.ledger.keys.name)
    with pytest.raises(OutdatedLayout, match="stop every process of that version"):
        ledger.state()
    ledger_recovery = LedgerRecovery(ledger, world.blocks)
    assert ledger_recovery.check().state is ConsistencyState.OUTDATED
    assert ledger_recovery.ensure_consistent().state is ConsistencyState.HEALTHY
    # What was processed and not final runs again.
    assert client.hkeys(ledger.keys.intake) == [tail.signature]
    world.ledger.forget_epoch()
    commit_all(world, tail)
    world.seal()
    report = audit(world.ledger, world.blocks)
    assert report.ok, report.checks


def test_ledger_in_the_layout_of_a_newer_version_is_left_alone(world: World) -> None:
    client: Any = world.ledger.client
    client.hset(world.ledger.keys.meta, "layout", LAYOUT + 1)
    with pytest.raises(NewerLayout, match="update it"):
        LedgerRecovery(Ledger(client, world.ledger.keys.name), world.blocks).ensure_consistent()


def as_layout_1(world: World) -> None:
    """What the first version of Trunkline left in Redis."""
    client: Any = world.ledger.client
    versions = world.ledger.epoch_keys.versions
    for key, version, record in list(scan_accounts(world.ledger)):
        client.hset(world.ledger.epoch_keys.accounts, key, record)
        client.hset(versions, key, sequence(version))
    client.hset(world.ledger.keys.meta, "layout", 1)
