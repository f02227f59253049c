"""The pipeline on RabbitMQ's quorum queues: what holds on Redis holds there, too. `make engines`, and in the gate."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import amqp
import pytest
from celery import Celery
from kombu import Connection, Queue
from kombu.exceptions import OperationalError

from banking.ledger.keys import LedgerKeys
from config import kombu_amqp
from config.queues import MAINTENANCE, PROCESS, PROCESS_BATCH, TRANSACTIONS
from config.settings import Settings
from recovery.degradation import DegradationManager, DegradationMode
from tests.chaos.harness.proxy import Network, Rules
from tests.support.paths import ROOT
from tests.support.pipelines import PATIENCE, Pipeline, WorkerProcess
from tests.support.rabbitmq import require_rabbitmq, running_rabbitmq
from tests.support.waiting import wait_until
from workers.overview.broker_depth import BrokerDepth
from workers.supervisor.embedded_redis import EmbeddedRedis

pytestmark = [pytest.mark.processes, pytest.mark.real_redis]


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    require_rabbitmq()
    with running_rabbitmq(tmp_path_factory.mktemp("servers") / "rabbitmq") as url:
        yield url


@pytest.fixture(scope="module")
def pipeline(rabbitmq: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """One for all tests: two workers, maintenance, beat, and a Redis for the ledger alone."""
    folder: Path = tmp_path_factory.mktemp("pipeline")
    server = EmbeddedRedis(folder / "redis")
    server.start()
    pipeline = Pipeline(folder, server.url, rabbitmq, batch_size=16)
    try:
        pipeline.start(2)
        yield pipeline
    finally:
        pipeline.close()
        server.stop()


def waiting(url: str, queue: str = TRANSACTIONS) -> int:
    """Messages that no worker has, as the sweeper and beat count them."""
    with Connection(url) as connection, connection.channel() as channel:
        declared: Any = Queue(queue, channel=channel).queue_declare(passive=True)
        return int(declared.message_count)


def test_its_depth_is_told_and_a_broker_that_refuses_us_tells_none(rabbitmq: str, pipeline: Pipeline) -> None:
    depth = BrokerDepth(pipeline.settings)
    assert set(depth.read()) == {TRANSACTIONS, MAINTENANCE}
    depth.close()
    refused = Settings.from_variables(
        redis_url=pipeline.settings.redis.url, broker_url=rabbitmq.replace("guest:guest", "guest:wrong")
    )
    assert BrokerDepth(refused).read() == {}


@pytest.mark.parametrize("queue", [TRANSACTIONS, MAINTENANCE])
def test_the_queues_are_replicated_ones(rabbitmq: str, pipeline: Pipeline, queue: str) -> None:
    with (
        Connection(rabbitmq) as connection,
        connection.channel() as channel,
        pytest.raises(amqp.PreconditionFailed, match="x-queue-type"),
    ):
        Queue(queue, channel=channel, durable=True).queue_declare()
    with pipeline.app.connection_for_write() as connection:
        pipeline.app.amqp.queues[queue](connection.default_channel).declare()


def test_strangers_with_nothing_but_celery_can_send(pipeline: Pipeline) -> None:
    transactions = pipeline.transfers(3)
    pipeline.send_bare(transactions, each=True)
    pipeline.assert_sound(transactions)


def test_priorities_do_no_harm(pipeline: Pipeline) -> None:
    """Quorum queues know none before RabbitMQ 4, and two from then on."""
    transactions = pipeline.transfers(20)
    receipts = pipeline.submitter.submit([transaction.raw for transaction in transactions])
    assert {receipt.verdict for receipt in receipts} == {"accepted"}
    for priority in (0, 4, 9):
        pipeline.app.send_task(PROCESS_BATCH, args=([],), priority=priority)
    pipeline.assert_sound(transactions)


GOOD_HEADERS = {"lang": "py", "task": PROCESS, "id": "raw"}
PLAIN = {"content_type": "application/json", "content_encoding": "utf-8"}


@pytest.mark.parametrize(
    ("body", "options"),
    [
        (b"garbage", {}),
        (b"\xff\xfe\x00", PLAIN),
        (b"[]", PLAIN),
        (b"5", PLAIN | {"application_headers": GOOD_HEADERS}),
        (b"null", PLAIN | {"application_headers": GOOD_HEADERS}),
        (b"[[], {}, {}]", PLAIN | {"application_headers": {"task": PROCESS}}),
        (b"[[], {}, {}]", PLAIN | {"application_headers": {"task": [PROCESS], "id": "raw"}}),
        (b"[[], {}, {}]", PLAIN | {"application_headers": GOOD_HEADERS | {"eta": "now", "timelimit": 5}}),
        (b"[[], {}, {}]", PLAIN | {"application_headers": GOOD_HEADERS | {"expires": {}, "retries": "many"}}),
        (b"[[], {}, {}]", PLAIN | {"application_headers": GOOD_HEADERS | {"compression": "no such"}}),
        (b"[[], {}, {}]", {"content_type": "application/x-nothing", "application_headers": GOOD_HEADERS}),
        (b"[[], {}, {}]", {"content_type": "application/json", "content_encoding": "utf-99"}),
        (b"\x80\x04N.", {"content_type": "application/x-python-serialize", "application_headers": GOOD_HEADERS}),
        (json.dumps({"task": 5, "id": [], "args": 7}).encode(), PLAIN),
    ],
)
def test_what_is_no_message_is_dropped_and_the_workers_live_on(
    rabbitmq: str, pipeline: Pipeline, body: bytes, options: dict[str, Any]
) -> None:
    workers = pipeline.workers
    with Connection(rabbitmq) as connection:
        for _ in workers[:2]:
            channel: Any = connection.default_channel
            channel.basic_publish(amqp.Message(body, **options), routing_key=TRANSACTIONS)
    transactions = pipeline.transfers(4)
    pipeline.submit(transactions)
    pipeline.assert_sound(transactions)
    pipeline.assert_alive(workers)
    assert waiting(rabbitmq) == 0
    for letter in pipeline.foreign_letters():
        pipeline.dead_letters.letters.drop(letter.id)


def test_a_killed_worker_s_messages_come_to_the_others(rabbitmq: str, pipeline: Pipeline) -> None:
    victim: WorkerProcess = pipeline.start_worker("victim")
    workers = [*pipeline.workers[:2], victim]
    for worker in workers:
        worker.pause()
    transactions = pipeline.transfers(500)
    pipeline.submit(transactions)
    # Each is given its share without asking; what it has nobody else can take.
    wait_until(lambda: 0 < waiting(rabbitmq) == waiting(rabbitmq) < 500 // 16, "each worker has its share")
    left = waiting(rabbitmq)
    victim.kill()
    wait_until(lambda: waiting(rabbitmq) > left, "the killed worker's share is back")
    for worker in workers[:2]:
        worker.resume()
    pipeline.assert_sound(transactions)
    assert not pipeline.letters()


def test_a_closed_gate_leaves_messages_in_the_queue_and_burns_nothing(rabbitmq: str, pipeline: Pipeline) -> None:
    manager = DegradationManager(
        pipeline.settings.redis.url, namespace=f"{LedgerKeys(pipeline.settings.ledger.name).prefix}:modes"
    )
    manager.set_component_mode("transactions", DegradationMode.READ_ONLY, reason="test")
    before = pipeline.resolved()
    transactions = pipeline.transfers(200)
    pipeline.submit(transactions)
    intake = pipeline.ledger.keys.intake
    wait_until(lambda: waiting(rabbitmq) + pipeline.client.zcard(pipeline.ledger.keys.parked) > 0, "they are held")
    slot = pipeline.ledger.state().slot
    wait_until(lambda: pipeline.ledger.state().slot >= slot + 3, "time passes")
    assert pipeline.resolved() == before
    assert pipeline.client.hlen(intake) == len(transactions)
    manager.clear("transactions")
    pipeline.assert_sound(transactions)
    assert not pipeline.letters()


def test_a_queue_that_was_emptied_loses_nothing(rabbitmq: str, pipeline: Pipeline) -> None:
    transactions = pipeline.transfers(300)
    pipeline.submit(transactions)
    with Connection(rabbitmq) as connection:
        Queue(TRANSACTIONS, channel=connection.default_channel).purge()
    pipeline.assert_sound(transactions)


def test_a_publisher_waits_for_a_frozen_server_no_longer_than_told(rabbitmq: str, pipeline: Pipeline) -> None:
    """It has the message, and says nothing: kombu would wait for ever, and `submit()` with it."""
    kombu_amqp.install()
    network = Network()
    port = int(rabbitmq.rpartition(":")[2].split("/")[0])
    broker = f"amqp://guest:guest@127.0.0.1:{network.link('producer', port).port}//"
    transactions = pipeline.transfers(2)
    pipeline.intake.accept([(transaction.signature, transaction.raw) for transaction in transactions])
    texts = [base64.b64encode(transaction.raw).decode() for transaction in transactions]
    try:
        with Celery(broker=broker, set_as_current=False) as app:
            names = ("broker_transport_options", "task_queues", "task_routes")
            app.conf.update({name: pipeline.app.conf[name] for name in names}, task_publish_retry=False)
            app.send_task(PROCESS_BATCH, args=([],))
            network.set("producer", Rules(hold_replies=True))
            with pytest.raises((OperationalError, TimeoutError)):
                app.send_task(PROCESS_BATCH, args=(texts[:1],))
            network.heal()
            # The late confirmation is not taken for this one's.
            app.send_task(PROCESS_BATCH, args=(texts[1:],))
        pipeline.assert_sound(transactions)
    finally:
        network.close()


@contextmanager
def retry_worker(redis_url: str, broker_url: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "celery", "-A", "tests.support.apps.retry_app", "worker", "-c", "1"]
    names = {"REDIS_URL": redis_url, "BROKER_URL": broker_url, "FOLDER": str(folder)}
    environment = os.environ | {f"RETRY_TEST_{name}": value for name, value in names.items()}
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_retries_are_held_by_rabbitmq_in_whole_seconds(rabbitmq: str, pipeline: Pipeline, tmp_path: Path) -> None:
    """Celery cannot publish a countdown below a second for a quorum queue, and a failed task was given up for that."""
    with retry_worker(pipeline.settings.redis.url, rabbitmq, tmp_path):
        with Celery(broker=rabbitmq, set_as_current=False) as client:
            client.conf.update(task_default_queue_type="quorum", task_default_exchange_type="topic")
            client.send_task("flaky", args=[2])
        wait_until((tmp_path / "flaky.done").exists, f"it works\n{tmp_path / 'worker.log'}", PATIENCE)
    assert len((tmp_path / "flaky").read_text().splitlines()) == 3
    assert "next in 0.300 s" in (tmp_path / "worker.log").read_text()
