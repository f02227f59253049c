"""Bytes and memory at their worst: accounts of 10 MiB under real workers, a Redis without memory, an old file."""

from __future__ import annotations

import shutil

import pytest
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from banking.admin.genesis import genesis_accounts
from banking.audit.audit import audit
from banking.ledger.limits import MIB
from banking.ledger.records import pack_account
from banking.transaction import SignedTransaction, verify
from tasks.receipts import Level
from tasks.submission import SubmissionFailed
from tests.support import pipelines
from tests.support.durability.node import Node
from tests.support.ledgers import SOL, transfer_transaction
from tests.support.oracle.opinions import assert_agrees
from tests.support.pipelines import MakePipeline, Pipeline
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.real_redis, pytest.mark.processes, pytest.mark.timeout(600)]


def assert_sound(pipeline: Pipeline) -> None:
    pipeline.ledger.forget_epoch()
    report = audit(pipeline.ledger, pipeline.blocks)
    assert [f"{check.id}: {check.detail}" for check in report.checks if not check.ok] == []
    assert_agrees(pipeline.blocks)


def pay(pipeline: Pipeline, target: Pubkey, lamports: int) -> SignedTransaction:
    return verify(bytes(transfer_transaction(pipeline.faucet, target, lamports, pipeline.blockhash())))


def final_outcomes(pipeline: Pipeline, transactions: list[SignedTransaction], seconds: float = 240.0) -> None:
    """Return once every transaction's success is final."""

    def all_final() -> bool:
        found = pipeline.ledger.settled([transaction.signature for transaction in transactions])
        return all(one is not None and one[1] for one in found)

    wait_until(all_final, f"all is final\n{pipeline.logs()}", seconds, interval=0.25)
    assert all(
        outcome is not None and outcome.ok for outcome in pipeline.ledger.outcomes([w.signature for w in transactions])
    )


def test_a_default_batch_of_transfers_to_one_account_of_10_mib(
    make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 in one message, as in the issue: all become final, and the archive gives them back."""
    large = Keypair().pubkey()
    account = Account(lamports=80 * SOL, data=bytes(10 * MIB), owner=Pubkey.default(), executable=False)

    def with_large(faucet: Pubkey, lamports: int) -> dict[bytes, bytes]:
        return {**genesis_accounts(faucet, lamports), bytes(large): pack_account(account)}

    monkeypatch.setattr(pipelines, "genesis_accounts", with_large)
    pipeline = make_pipeline()
    pipeline.start(2, pool="solo")
    transactions = [pay(pipeline, large, SOL + number) for number in range(64)]
    pipeline.submitter.submit([transaction.raw for transaction in transactions])
    final_outcomes(pipeline, transactions)
    pipeline.client.flushall()
    wait_until(lambda: pipeline.client.hget(pipeline.ledger.keys.meta, "epoch") == b"2", "it is restored", 120)
    pipeline.ledger.forget_epoch()
    final_outcomes(pipeline, transactions)
    assert_sound(pipeline)


def test_redis_that_has_no_memory_for_a_while(make_pipeline: MakePipeline) -> None:
    """It refuses writes; nothing is half done, nothing is lost, and all goes on when there is memory again."""
    pipeline = make_pipeline()
    pipeline.start(2, pool="solo")
    first = pipeline.transfers(100)
    pipeline.submitter.submit([transaction.raw for transaction in first])
    wait_until(lambda: pipeline.ledger.state().processed > 20, "the load is on")
    pipeline.client.config_set("maxmemory", 1)
    processed = pipeline.ledger.state().processed
    for _ in range(3):
        with pytest.raises(SubmissionFailed):
            pipeline.submitter.submit([transaction.raw for transaction in pipeline.transfers(10)])
    assert pipeline.ledger.state().processed - processed < 70
    pipeline.client.config_set("maxmemory", 0)
    final_outcomes(pipeline, first)
    more = pipeline.transfers(100)
    receipts = pipeline.submitter.submit([transaction.raw for transaction in more], wait="finalized", timeout=120)
    assert {receipt.level for receipt in receipts} == {Level.FINALIZED}
    assert_sound(pipeline)


def test_an_older_file_of_redis_is_put_back_under_a_worker_that_is_paused_before_its_commit(own_node: Node) -> None:
    """Its account had 501 SOL when it was read, 11 of them in what is left; other transactions got the numbers."""
    node, world = own_node, own_node.world
    rich, shop = Keypair(), Keypair().pubkey()
    world.stage.process([world.transfer(world.faucet, rich.pubkey(), 11 * SOL)])
    world.seal()
    copy = node.server.folder.with_name("copy")
    node.server.stop()
    shutil.copytree(node.server.folder, copy)
    node.server.start()
    assert world.stage.process([world.transfer(world.faucet, rich.pubkey(), 490 * SOL)]).committed
    payment = world.transfer(rich, shop, 400 * SOL)
    (node.place.folder / "wire").write_bytes(payment.raw)
    worker = node.stop_at("pay", "stage.executed")
    node.server.kill()
    shutil.rmtree(node.server.folder)
    shutil.copytree(copy, node.server.folder)
    node.server.start()
    assert world.stage.process([world.transfer(rich, Keypair().pubkey(), SOL)]).committed
    assert node.resume(worker) == 0
    (outcome,) = world.ledger.outcomes([payment.signature])
    assert outcome is not None
    assert not outcome.ok
    assert world.balance(shop) == 0
    world.seal()
    node.assert_sound()
    assert_agrees(world.blocks)
