"""The ledger read from an event loop: what is read together is of one moment, and a bad read harms nobody else."""

from __future__ import annotations

import asyncio
from typing import Any

import fakeredis
import pytest
import redis
from solders.keypair import Keypair

from banking.errors import LedgerUnavailable
from banking.ledger import reads
from banking.ledger.async_ledger import AsyncLedger, Snapshot
from banking.ledger.records import lamports_of
from banking.transaction import SignedTransaction
from tests.support.ledgers import SOL, World, new_world


class Door:
    """A ledger of the test's own, and the asynchronous door to it."""

    def __init__(self) -> None:
        server = fakeredis.FakeServer()
        self.world: World = new_world(fakeredis.FakeRedis(server=server), "main")
        self.ledger = AsyncLedger(fakeredis.FakeAsyncRedis(server=server), "main")

    def read(self, *wanted: reads.Read[Any]) -> Snapshot:
        return asyncio.run(self.ledger.read([wanted]))[0]

    def pay(self) -> SignedTransaction:
        transaction = self.world.transfer(self.world.faucet, Keypair().pubkey(), SOL)
        self.world.stage.process([transaction])
        return transaction


@pytest.fixture
def door() -> Door:
    return Door()


def test_each_read_has_its_typed_answer(door: Door) -> None:
    paid = door.pay()
    faucet, absent = bytes(door.world.faucet.pubkey()), bytes(Keypair().pubkey())
    found, missing = reads.accounts([faucet, absent]), reads.outcome(bytes(64))
    recorded, newest = reads.outcomes([paid.signature]), reads.newest_entry()
    snapshot = door.read(found, missing, recorded, newest)
    assert snapshot.seq == door.world.ledger.state().seq
    assert [lamports_of(record) for record in snapshot.answer(found)][1] == 0
    assert snapshot.answer(found)[0] == door.world.ledger.account(faucet)
    assert snapshot.answer(missing) is None
    (outcome,) = snapshot.answer(recorded)
    entry = snapshot.answer(newest)
    assert outcome is not None
    assert entry is not None
    assert (entry.signature, entry.seq) == (paid.signature, outcome.seq)


def test_accounts_beyond_the_bound_answer_only_their_sizes(door: Door) -> None:
    key = bytes(door.world.faucet.pubkey())
    small, large = reads.bounded_accounts([key], 10), reads.bounded_accounts([key, bytes(32)], 1000)
    snapshot = door.read(small, large)
    size = len(door.world.ledger.account(key))
    assert not snapshot.answer(small).fits
    assert (snapshot.answer(small).sizes, snapshot.answer(small).records) == ([size], [])
    assert snapshot.answer(large).sizes == [size, 0]
    assert snapshot.answer(large).records == [door.world.ledger.account(key), b""]


def test_scripts_are_asked_by_hash_and_sent_again_to_a_server_that_lost_them(door: Door) -> None:
    key = bytes(door.world.faucet.pubkey())
    wanted = reads.bounded_accounts([key], 1000)
    assert door.world.ledger.account(key) in door.read(wanted).answer(wanted).records
    door.world.ledger.client.script_flush()
    assert door.world.ledger.account(key) in door.read(wanted).answer(wanted).records
    assert all(script.source not in wanted.words for script in reads.SCRIPTS)


def test_a_read_that_redis_refuses_fails_alone(door: Door) -> None:
    door.pay()
    wrong = reads.Read(("HGET",), ("journal",), [b"x"], bool)
    good, bad = asyncio.run(door.ledger.read_each([[reads.blockhashes()], [wrong]]))
    assert isinstance(good, Snapshot)
    assert isinstance(bad, redis.ResponseError)


def test_a_redis_that_lost_what_was_final_is_not_read(door: Door) -> None:
    door.pay()
    door.world.seal()
    final = door.read().finalized
    keys = door.world.ledger.epoch_keys
    door.world.ledger.client.hset(keys.state, "finalized", str(final - 1))
    with pytest.raises(LedgerUnavailable, match=f"{final} was final"):
        door.read()


def test_the_journal_is_read_both_ways(door: Door) -> None:
    paid = [door.pay() for _ in range(5)]
    epoch = door.world.ledger.epoch

    async def both() -> tuple[list[bytes], list[bytes]]:
        forward = await door.ledger.await_entries(epoch, (0, 0), most=100, patience_ms=1)
        last = (forward[-1].slot, forward[-1].seq)
        backward = [entry.signature async for entry in door.ledger.entries_back_from(epoch, last, 2)]
        assert await door.ledger.await_entries(epoch, last, most=100, patience_ms=1) == []
        return [entry.signature for entry in forward], backward

    forward, backward = asyncio.run(both())
    assert forward[-5:] == [transaction.signature for transaction in paid]
    assert backward == forward[::-1]
