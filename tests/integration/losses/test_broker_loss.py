"""Redis servers that are killed, emptied or away while work is under way."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from celery import Celery
from kombu.common import ignore_errors

from config import kombu_redis
from config.sections import Fsync
from recovery.connections import connect
from tests.support.pipelines import MakePipeline, Pipeline
from tests.support.redis_servers import MakeRedis
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]


def test_redis_killed_and_restarted_mid_load(make_redis: MakeRedis, make_pipeline: MakePipeline) -> None:
    """With fsync `always`, everything acknowledged survives, and the workers find their way back."""
    server = make_redis(fsync=Fsync.ALWAYS)
    pipeline = make_pipeline(server.url)
    workers = pipeline.start(2)
    transactions = pipeline.transfers(1500)
    pipeline.submit(transactions)
    wait_until(lambda: pipeline.resolved() > 100, "the first transactions are processed", interval=0.005)
    server.kill()
    server.restart()
    assert pipeline.ledger.state().accepted == len(transactions)
    more = pipeline.transfers(100)
    pipeline.submit(more)
    pipeline.assert_sound([*transactions, *more])
    pipeline.assert_alive(workers)


def test_lost_connection_with_messages_in_hand_is_no_programming_error(make_redis: MakeRedis) -> None:
    """What Celery does after a lost connection; with kombu's own transport the worker ends by AttributeError."""
    kombu_redis.install()
    server = make_redis()
    app = Celery(broker=server.url.replace("unix://", "redis+socket://"), set_as_current=False)
    app.send_task("any", queue="jobs")
    connection = app.connection_for_read()
    jobs = connection.SimpleQueue("jobs")
    held = jobs.get(timeout=5)
    others = connection.SimpleQueue("others", channel=connection.channel())
    for queue in (jobs, others):
        with suppress(queue.Empty):
            queue.get(timeout=0.01)  # leaves its BRPOP waiting
    server.kill()
    with suppress(*connection.connection_errors):
        connection.collect(socket_timeout=1)
    ignore_errors(connection, connection.close)
    held.ack_log_error(logging.getLogger("test"), connection.connection_errors)
    assert not held.acknowledged
    app.close()


def test_broker_queue_deleted_mid_load(make_pipeline: MakePipeline) -> None:
    """With the settings as they come, the sweeper brings everything back within 10 seconds."""
    pipeline = make_pipeline(sweep_interval=1.0, sweep_grace=3.0)
    workers = pipeline.start(2)
    transactions = pipeline.transfers(4000)
    pipeline.submit(transactions[:1000])
    # Stopped, or they may be done before the queue is gone.
    for worker in workers:
        worker.pause()
    pipeline.submit(transactions[1000:])
    assert pipeline.client.delete("transactions", "unacked", "unacked_index")
    assert pipeline.resolved() < len(transactions)
    for worker in workers:
        worker.resume()
    assert pipeline.wait_settled(transactions, timeout=30.0) < 10.0
    pipeline.assert_sound(transactions)


def test_message_lost_in_the_middle_of_a_stream_is_found(make_pipeline: MakePipeline) -> None:
    """While the queue never runs empty: the watermark tells that it must have been popped."""
    pipeline = make_pipeline(batch_size=1)
    with full_queue(pipeline) as feed:
        lost = pipeline.transfers(5, payers=pipeline.fund(1))
        pipeline.intake.accept([(transaction.signature, transaction.raw) for transaction in lost])
        signatures = [transaction.signature for transaction in lost]
        wait_until(lambda: all(pipeline.ledger.outcomes(signatures)), "the lost ones are found", timeout=60.0)
        assert pipeline.client.llen("transactions") > 0
    pipeline.assert_sound([*feed, *lost])


@contextmanager
def full_queue(pipeline: Pipeline) -> Iterator[list[Any]]:
    """Keeps messages waiting in the queue, from another thread with connections of its own."""
    (worker,) = pipeline.start(1)
    payer = pipeline.fund(1, 1000 * 10**9)[0]
    ended = threading.Event()
    sent: list[Any] = []

    def feed() -> None:
        while not ended.is_set():
            if pipeline.client.llen("transactions") < 1300:
                transactions = pipeline.transfers(320, payers=[payer])
                pipeline.submit(transactions)
                sent.extend(transactions)
            ended.wait(0.01)

    # Stopped until the queue is so long that the worker cannot empty it while a busy machine holds the thread up.
    worker.pause()
    thread = threading.Thread(target=feed)
    thread.start()
    try:
        wait_until(lambda: pipeline.client.llen("transactions") > 1000, "the queue is full")
        worker.resume()
        yield sent
    finally:
        ended.set()
        thread.join()


def test_separate_broker_killed_and_returned_empty(make_redis: MakeRedis, make_pipeline: MakePipeline) -> None:
    broker = make_redis()
    pipeline = make_pipeline("", broker.url)
    workers = pipeline.start(2)
    transactions = pipeline.transfers(1000)
    pipeline.submit(transactions)
    wait_until(lambda: pipeline.resolved() > 50, "the first transactions are processed", interval=0.005)
    broker.kill()
    # The ledger is there: transactions are accepted all the same, and soon enough.
    more = pipeline.transfers(600)
    pipeline.submit(more)
    for path in broker.folder.rglob("*.aof"):
        path.unlink()
    broker.restart()
    pipeline.assert_sound([*transactions, *more])
    pipeline.assert_alive(workers)


def test_ledger_away_is_retried_visibly_and_nothing_is_lost(make_redis: MakeRedis, make_pipeline: MakePipeline) -> None:
    """The broker stays: transactions in intake and bare messages alike outlast the outage, however long."""
    ledger, broker = make_redis(fsync=Fsync.ALWAYS), make_redis()
    pipeline = make_pipeline(ledger.url, broker.url)
    (worker,) = pipeline.start(1, extra=["-E"])
    accepted = pipeline.transfers(100)
    bare = pipeline.transfers(80)
    lone = pipeline.transfers(3)
    with task_events(pipeline) as events:
        pipeline.client.ping()
        with connect(broker.url) as client:
            worker.pause()
            pipeline.submit(accepted)
            ledger.kill()
            pipeline.send_bare(bare)
            pipeline.send_bare(lone, each=True)
            assert client.llen("transactions") > 0
            worker.resume()
        # Past all attempts of the policy, and put off again and again.
        wait_until(lambda: worker.output().count("cannot park in intake") > 2, "the outage outlasts the attempts")
        ledger.restart()
        transactions = [*accepted, *bare, *lone]
        pipeline.assert_sound(transactions)
    assert not pipeline.dead_letters.letters.list()
    retried = [event for event in events if event["type"] == "task-retried"]
    assert retried
    # The first wait of the policy is 100 ms ± 20 %, to the millisecond in the log and in the message's ETA.
    waits = [float(part.split("s:")[0]) for part in worker.output().split("Retry in ")[1:]]
    assert any(0.08 <= wait <= 0.12 and wait != round(wait, 1) for wait in waits), waits
    assert all(outcome and outcome.ok for outcome in pipeline.ledger.outcomes([w.signature for w in transactions]))


def test_both_servers_away_and_back(make_redis: MakeRedis, make_pipeline: MakePipeline) -> None:
    ledger, broker = make_redis(fsync=Fsync.ALWAYS), make_redis(fsync=Fsync.ALWAYS)
    pipeline = make_pipeline(ledger.url, broker.url, visibility_timeout=5)
    workers = pipeline.start(2)
    payers = pipeline.fund(4)
    transactions = pipeline.transfers(600, payers=payers)
    bare = pipeline.transfers(200, payers=payers)
    # Nobody may take the bare message while the broker dies: between the two steps of a pop Celery's transport loses
    # it, and only intake, which a bare message has not passed yet, makes up for that. What a worker waits for when it
    # is stopped, it still takes: a message of those that were submitted.
    for worker in workers:
        worker.pause()
    pipeline.submit(transactions)
    pipeline.send_bare(bare)
    ledger.kill()
    broker.kill()
    for worker in workers:
        worker.resume()
    pipeline.assert_alive(workers)
    broker.restart()
    ledger.restart()
    pipeline.assert_sound([*transactions, *bare])
    pipeline.assert_alive(workers)


@contextmanager
def task_events(pipeline: Pipeline) -> Iterator[list[dict[str, Any]]]:
    """Collects what Flower would see."""
    events: list[dict[str, Any]] = []
    ended = threading.Event()

    def collect() -> None:
        with pipeline.app.connection_for_read() as connection:
            receiver = pipeline.app.events.Receiver(connection, handlers={"*": events.append})
            for _ in receiver.itercapture(limit=None, timeout=None, wakeup=False):
                if ended.is_set():
                    return

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    wait_until(lambda: events, "events arrive")
    yield events
    ended.set()
    thread.join(timeout=5)
