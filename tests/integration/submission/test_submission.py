"""submit() against real servers: duplicates, and servers that are away, frozen or full."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from typing import Any

import psutil
import pytest
import redis
from solders.keypair import Keypair

from banking.errors import LedgerUnavailable
from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage
from banking.intake.reasons import Reason
from recovery.connections import connect
from tasks.submission import SubmissionFailed
from tests.support.pipelines import MakePipeline, Pipeline
from tests.support.redis_servers import MakeRedis
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]

#: The issue's bound for "Redis away at submit".
SECONDS_TO_AN_ERROR = 5.0


def test_same_transactions_from_ten_processes_at_once(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline()
    transactions = pipeline.transfers(100)
    pipeline.start(2)
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(10), context.SimpleQueue()

    def submit() -> None:
        # Sockets must not be shared over a fork.
        own = Pipeline.attach(pipeline)
        barrier.wait()
        answers.put(
            [
                receipt.verdict.value
                for receipt in own.submitter.submit([transaction.raw for transaction in transactions])
            ]
        )

    processes = [context.Process(target=submit) for _ in range(10)]
    for process in processes:
        process.start()
    counts = [Counter(verdicts) for verdicts in zip(*(answers.get() for _ in processes), strict=True)]
    for process in processes:
        process.join()
    assert counts == [Counter(duplicate=9, accepted=1)] * len(transactions)
    pipeline.assert_sound(transactions)
    again = pipeline.submitter.submit([transaction.raw for transaction in transactions])
    assert {(receipt.verdict.value, receipt.code) for receipt in again} == {("duplicate", Reason.PROCESSED)}
    assert pipeline.ledger.state().processed == len(transactions)


def test_redis_away_at_submit_is_a_clear_error_in_bounded_time(
    make_redis: MakeRedis, make_pipeline: MakePipeline
) -> None:
    server = make_redis()
    pipeline = make_pipeline(server.url)
    transactions = pipeline.transfers(300)
    pipeline.ledger.state()
    server.kill()
    began = time.monotonic()
    with pytest.raises(SubmissionFailed, match=r"does not answer.*0 transactions were accepted"):
        pipeline.submitter.submit([transaction.raw for transaction in transactions])
    assert time.monotonic() - began < SECONDS_TO_AN_ERROR
    server.restart()
    assert pipeline.ledger.state().accepted == 0
    assert not pipeline.client.exists(pipeline.ledger.keys.intake, "transactions")
    pipeline.submit(transactions)
    pipeline.start(1)
    pipeline.assert_sound(transactions)


def test_frozen_redis_at_submit_is_a_clear_error_in_bounded_time(
    make_redis: MakeRedis, make_pipeline: MakePipeline
) -> None:
    """It takes connections and answers nothing: only a timeout notices."""
    server = make_redis()
    pipeline = make_pipeline(server.url)
    transactions = pipeline.transfers(3)
    frozen = psutil.Process(server.pid)
    frozen.suspend()
    began = time.monotonic()
    try:
        with pytest.raises(SubmissionFailed, match="does not answer"):
            pipeline.submitter.submit([transaction.raw for transaction in transactions])
        assert time.monotonic() - began < SECONDS_TO_AN_ERROR
    finally:
        frozen.resume()
    # The server may have taken the words in before it froze: then all of them, or none.
    accepted = pipeline.ledger.state().accepted
    assert accepted in (0, len(transactions))
    verdicts = {
        receipt.verdict.value
        for receipt in pipeline.submitter.submit([transaction.raw for transaction in transactions])
    }
    assert verdicts == ({"duplicate"} if accepted else {"accepted"})
    pipeline.start(1)
    pipeline.assert_sound(transactions)


@pytest.mark.parametrize("frozen", [False, True], ids=["killed", "frozen"])
def test_broker_away_at_submit_still_accepts_in_bounded_time(
    make_redis: MakeRedis, make_pipeline: MakePipeline, caplog: pytest.LogCaptureFixture, frozen: bool
) -> None:
    """Intake is what counts; the messages follow. A long submission does not pay for each of them."""
    broker = make_redis()
    pipeline = make_pipeline("", broker.url)
    transactions = pipeline.transfers(2000)
    process = psutil.Process(broker.pid)
    process.suspend()
    if not frozen:
        broker.kill()
    began = time.monotonic()
    pipeline.submit(transactions)
    assert time.monotonic() - began < 2 * SECONDS_TO_AN_ERROR
    assert "sweeper will enqueue them" in caplog.text
    if frozen:
        process.resume()
    else:
        broker.restart()
    pipeline.start(2)
    pipeline.assert_sound(transactions)


def test_full_redis_refuses_whole_and_goes_on_when_there_is_room(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline()
    stage = BankingStage(pipeline.ledger, SvmExecutor())
    target = Keypair()
    transactions = pipeline.transfers(100, payers=[pipeline.faucet])
    more = pipeline.transfers(100, payers=[pipeline.faucet])
    pipeline.submit(transactions)
    before = snapshot(pipeline)
    fill(pipeline.client)
    with pytest.raises(LedgerUnavailable, match="out of memory"):
        stage.process(transactions[:64])
    with pytest.raises(SubmissionFailed, match="out of memory"):
        pipeline.submitter.submit([transaction.raw for transaction in more])
    with pytest.raises(LedgerUnavailable, match="out of memory"):
        pipeline.dead_letters.add(transactions[0].signature, transactions[0].raw, "test", 1)
    with pytest.raises(LedgerUnavailable, match="out of memory"):
        pipeline.intake.park([(transaction.signature, transaction.raw) for transaction in more], 1.0)
    assert snapshot(pipeline) == before
    pipeline.assert_conserved()
    assert not pipeline.ledger.account(bytes(target.pubkey()))
    pipeline.client.config_set("maxmemory", 0)
    pipeline.start(1)
    pipeline.submit(more)
    pipeline.assert_sound([*transactions, *more])


def test_workers_outlast_a_full_redis(make_pipeline: MakePipeline) -> None:
    """The broker is full as well: it loses the messages that it gives out, and refuses to take any."""
    pipeline = make_pipeline()
    (worker,) = pipeline.start(1)
    worker.pause()
    transactions = pipeline.transfers(300)
    pipeline.submit(transactions)
    fill(pipeline.client)
    worker.resume()
    wait_until(lambda: "maxmemory" in worker.output(), "the worker meets the full Redis")
    assert pipeline.resolved() == 0
    pipeline.client.config_set("maxmemory", 0)
    pipeline.assert_sound(transactions)
    assert not pipeline.dead_letters.letters.list()
    pipeline.assert_alive([worker])


def test_intake_limit_refuses_what_does_not_fit(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(intake_limit=70)
    transactions = pipeline.transfers(100)
    receipts = pipeline.submitter.submit([transaction.raw for transaction in transactions])
    assert Counter(receipt.verdict.value for receipt in receipts) == Counter(accepted=70, rejected=30)
    assert receipts[-1].code is Reason.INTAKE_FULL
    pipeline.start(1)
    pipeline.assert_sound(transactions[:70])
    pipeline.submit(transactions[70:])
    pipeline.assert_sound(transactions)


def fill(client: redis.Redis) -> None:
    """No room from here on: the limit is what is used now."""
    client.config_set("maxmemory", 1024 * 1024)
    with connect(client_url(client)) as other, pytest.raises(redis.ResponseError, match="maxmemory"):
        other.set("one more", b"")


def client_url(client: redis.Redis) -> str:
    return f"unix://{client.connection_pool.connection_kwargs['path']}"


def snapshot(pipeline: Pipeline) -> dict[bytes, Any]:
    """Every key of the ledger, with what is in it."""
    client: Any = pipeline.client
    return {key: client.dump(key) for key in client.scan_iter(f"{pipeline.ledger.keys.prefix}*")}
