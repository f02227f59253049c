"""Messages that no producer of ours would send: the worker says so and lives on."""

from __future__ import annotations

import base64
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from banking.intake.dead_letters import MALFORMED
from config import serialization
from config.queues import PROCESS, PROCESS_BATCH, TRANSACTIONS
from recovery.dead_letters import DeadLetter
from tests.support.pipelines import PATIENCE, Pipeline, WorkerProcess
from tests.support.waiting import wait_until
from workers.supervisor.embedded_redis import EmbeddedRedis

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pipeline, WorkerProcess]]:
    """One pipeline for all tests of this module: none of them may hurt it."""
    folder: Path = tmp_path_factory.mktemp("bad")
    server = EmbeddedRedis(folder / "redis")
    server.start()
    pipeline = Pipeline(folder, server.url)
    try:
        (worker,) = pipeline.start(1)
        yield pipeline, worker
    finally:
        pipeline.close()
        server.stop()


@pytest.fixture
def pipeline(running: tuple[Pipeline, WorkerProcess]) -> Iterator[Pipeline]:
    """The pipeline; afterwards a good transaction must pass, in the same worker and pool child."""
    pipeline, worker = running
    child = worker.children()[0].pid
    for letter in pipeline.dead_letters.letters.list():
        pipeline.dead_letters.letters.drop(letter.id)
    yield pipeline
    transactions = pipeline.transfers(2)
    pipeline.submit(transactions)
    pipeline.assert_sound(transactions)
    assert worker.alive()
    assert worker.children()[0].pid == child


def sole_letter(pipeline: Pipeline) -> DeadLetter:
    wait_until(pipeline.foreign_letters, "a dead letter", timeout=PATIENCE)
    (letter,) = pipeline.foreign_letters()
    return letter


@pytest.mark.parametrize(
    ("task", "args", "kwargs", "reason"),
    [
        (PROCESS_BATCH, [5], {}, "must be a list"),
        (PROCESS_BATCH, [None], {}, "must be a list"),
        (PROCESS_BATCH, [{"a": 1}], {}, "must be a list"),
        (PROCESS_BATCH, ["one string"], {}, "must be a list"),
        (PROCESS_BATCH, [], {}, "bad arguments"),
        (PROCESS_BATCH, [[]], {"nonsense": 1}, "bad arguments"),
        (PROCESS_BATCH, [[]], {"enqueued_at": "yesterday"}, "enqueued_at"),
        (PROCESS_BATCH, [[]], {"enqueued_at": -1}, "enqueued_at"),
        (PROCESS_BATCH, [[]], {"enqueued_at": 2**60}, "enqueued_at"),
        (PROCESS, ["a", "b"], {}, "bad arguments"),
    ],
)
def test_wrong_arguments_become_a_dead_letter(
    pipeline: Pipeline, task: str, args: list[Any], kwargs: dict[str, Any], reason: str
) -> None:
    answer = pipeline.app.send_task(task, args=args, kwargs=kwargs)
    letter = sole_letter(pipeline)
    assert (letter.kind, letter.id.decode()) == (task, answer.id)
    assert reason in letter.reason


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (17, "expected a base64 string"),
        (None, "expected a base64 string"),
        ("", "malformed or truncated"),
        ("%%%", "not base64"),
        (base64.b64encode(b"garbage" * 20).decode(), "malformed"),
        ("A" * 100_000, "too large"),
    ],
)
def test_what_is_no_transaction_becomes_a_dead_letter_and_its_neighbours_run(
    pipeline: Pipeline, item: object, reason: str
) -> None:
    good = pipeline.transfers(2)
    texts = [base64.b64encode(transaction.raw).decode() for transaction in good]
    pipeline.app.send_task(PROCESS_BATCH, args=([texts[0], item, texts[1]],))
    letter = sole_letter(pipeline)
    assert letter.kind == MALFORMED
    assert reason in letter.reason
    assert len(letter.payload) <= 4 * 1232
    pipeline.assert_sound(good)


def test_lone_garbage_becomes_a_dead_letter(pipeline: Pipeline) -> None:
    pipeline.app.send_task(PROCESS, args=[{"no": "string"}])
    assert sole_letter(pipeline).kind == MALFORMED


def test_forged_signature_is_a_dead_letter_without_effect(pipeline: Pipeline) -> None:
    (transaction,) = pipeline.transfers(1)
    forged = bytearray(transaction.raw)
    forged[10] ^= 1
    before = pipeline.ledger.state().accepted
    pipeline.app.send_task(PROCESS, args=[base64.b64encode(forged).decode()])
    assert sole_letter(pipeline).reason == "SignatureFailure"
    assert pipeline.ledger.state().accepted == before


def test_unknown_task_is_refused(running: tuple[Pipeline, WorkerProcess], pipeline: Pipeline) -> None:
    pipeline.app.send_task("transactions.no_such_task", queue=TRANSACTIONS)
    wait_until(lambda: "transactions.no_such_task" in running[1].output(), "the refusal is logged")
    assert not pipeline.foreign_letters()


def test_pickle_is_refused_unopened(
    running: tuple[Pipeline, WorkerProcess], pipeline: Pipeline, tmp_path: Path
) -> None:
    """A pickle that would write a file if anybody opened it."""
    opened = tmp_path / "opened"
    with pipeline.app.connection_for_write() as connection, connection.Producer() as producer:
        producer.publish(
            pickle.dumps(_Bomb(str(opened))),
            routing_key=TRANSACTIONS,
            content_type="application/x-python-serialize",
            content_encoding="binary",
            headers={"task": PROCESS, "id": "evil", "lang": "py", "argsrepr": "", "kwargsrepr": ""},
        )
    wait_until(lambda: "ContentDisallowed" in running[1].output(), "the refusal is logged")
    wait_until(lambda: not pipeline.client.hlen("unacked"), "the message is gone")
    assert not opened.exists()


class _Bomb:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self.path, "w"))


def test_stranger_with_nothing_but_celery_can_send(pipeline: Pipeline) -> None:
    transactions = pipeline.transfers(3)
    pipeline.send_bare(transactions, each=True)
    pipeline.assert_sound(transactions)
    assert all(
        outcome and outcome.ok
        for outcome in pipeline.ledger.outcomes([transaction.signature for transaction in transactions])
    )


def test_what_a_newer_version_would_send_is_told_and_costs_nothing(pipeline: Pipeline) -> None:
    """An older worker meets its message in a rolling update: a dead letter says so, and the sweeper sends our own."""
    transactions = pipeline.transfers(2)
    pipeline.intake.accept([(transaction.signature, transaction.raw) for transaction in transactions])
    texts = [base64.b64encode(transaction.raw).decode() for transaction in transactions]
    pipeline.app.send_task(PROCESS_BATCH, args=(texts,), kwargs={"of_the_future": 1})
    assert "of_the_future" in sole_letter(pipeline).reason
    pipeline.assert_sound(transactions)


def test_what_an_older_version_sent_is_executed(pipeline: Pipeline) -> None:
    """Before batches were records, a message had the transactions themselves, and no more than these arguments."""
    transactions = pipeline.transfers(2)
    pipeline.intake.accept([(transaction.signature, transaction.raw) for transaction in transactions])
    texts = [base64.b64encode(transaction.raw).decode() for transaction in transactions]
    pipeline.app.send_task(PROCESS_BATCH, args=(texts,), kwargs={"enqueued_at": 0, "isolate": False})
    pipeline.assert_sound(transactions)
    assert pipeline.foreign_letters() == []


def test_stranger_may_use_priorities_and_msgpack(pipeline: Pipeline) -> None:
    transactions = pipeline.transfers(2)
    serialization.install()  # stands in for the msgpack-python that a stranger would have
    with Celery(broker=pipeline.settings.celery_url(), set_as_current=False) as stranger:
        first, second = (base64.b64encode(transaction.raw).decode() for transaction in transactions)
        stranger.send_task(PROCESS, [first], queue=TRANSACTIONS, priority=9)
        stranger.send_task(PROCESS, [second], queue=TRANSACTIONS, serializer="msgpack")
    pipeline.assert_sound(transactions)


def test_future_time_in_a_message_does_not_blind_the_sweeper(pipeline: Pipeline) -> None:
    """A watermark from the future would hide every true one; the next sweep drops it."""
    transactions = pipeline.transfers(1)
    texts = [base64.b64encode(transaction.raw).decode() for transaction in transactions]
    pipeline.app.send_task(PROCESS_BATCH, args=(texts,), kwargs={"enqueued_at": 2**52})
    pipeline.assert_sound(transactions)
    key = pipeline.ledger.epoch_keys.state
    # The sweeper looks at the watermark only while something waits in the queue.
    pipeline.intake.sweep(grace=1.0, queue_empty=False, limit=1)
    assert int(pipeline.client.hget(key, "watermark") or b"1") == 0


def raw_message(**changes: Any) -> bytes:
    """What kombu would put into the queue's list, changed."""
    properties = {
        "correlation_id": "raw", "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": TRANSACTIONS},
        "priority": 0, "body_encoding": "base64", "delivery_tag": "raw",
    }  # fmt: skip
    message: dict[str, Any] = {
        "body": base64.b64encode(b"[[], {}, {}]").decode(), "content-encoding": "utf-8",
        "content-type": "application/json", "headers": {"lang": "py", "task": PROCESS, "id": "raw"},
        "properties": properties,
    }  # fmt: skip
    return json.dumps({**message, **changes}).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage",
        b"\xff\xfe\x00",
        b"{}",
        b"[]",
        b"5",
        raw_message(body=""),
        raw_message(body=base64.b64encode(b"null").decode()),
        raw_message(body=base64.b64encode(b"5").decode()),
        raw_message(body="abc"),
        raw_message(headers=None),
        raw_message(headers="none"),
        raw_message(headers={"task": PROCESS}),
        raw_message(headers={"task": PROCESS, "id": "raw", "timelimit": 5, "eta": "now", "expires": {}}),
        raw_message(headers={"task": [PROCESS], "id": "raw"}),
        raw_message(properties={}),
        raw_message(properties={"delivery_tag": "raw", "delivery_info": "none"}),
    ],
)
def test_what_is_no_message_is_dropped_and_the_worker_lives_on(pipeline: Pipeline, raw: bytes) -> None:
    """One that ended its worker would come back to the next one, again and again. Found by `make chaos`."""
    pipeline.client.lpush(TRANSACTIONS, raw)
    wait_until(lambda: not pipeline.client.exists(TRANSACTIONS, "unacked"), "the message is gone", timeout=PATIENCE)
