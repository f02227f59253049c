"""`trunkline up` with RabbitMQ as Celery's broker, and a Redis for the ledger alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Queue
from solders.keypair import Keypair

from config import queues
from recovery.connections import connect
from tests.support.cli.program import Instance
from tests.support.flower.table import online
from tests.support.rabbitmq import require_rabbitmq, running_rabbitmq
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.processes, pytest.mark.real_redis]


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    require_rabbitmq()
    with running_rabbitmq(tmp_path_factory.mktemp("servers") / "rabbitmq") as url:
        yield url


def test_the_whole_pipeline_runs_on_it(rabbitmq: str, tmp_path: Path) -> None:
    instance = Instance(tmp_path / "data", {"TRUNKLINE_BROKER_URL": rabbitmq})
    instance.start("--workers", "2", "--no-rpc")
    try:
        # Commands in another terminal need no variable: the instance's note names both servers.
        elsewhere = Instance(instance.folder)
        given = elsewhere("airdrop", str(Keypair().pubkey()), "1.5SOL")
        assert given.code == 0, given.err
        loaded = elsewhere("load", "--count", "1000", "--accounts", "50")
        assert loaded.code == 0, loaded.out + loaded.err
        assert "processed 1,000" in loaded.out
        assert "amqp://guest:***@127.0.0.1" in elsewhere("status").out
        facts = elsewhere.json("status")
        wait_until(lambda: elsewhere.json("status")["finalized"] > facts["slot"], "blocks are sealed by beat's tasks")
        assert elsewhere.json("audit")["ok"]
        wait_until(lambda: len(online(facts["flower_url"])) == 3, "Flower shows the three workers")
        # The messages really went by RabbitMQ: it has the queues, and Redis has none of kombu's keys.
        with Connection(rabbitmq) as connection, connection.channel() as channel:
            declared: Any = Queue(queues.TRANSACTIONS, channel=channel).queue_declare(passive=True)
            assert declared.message_count == 0
        with connect(facts["redis_url"]) as client:
            assert [key for key in client.scan_iter() if not key.startswith(b"tl:")] == []
    finally:
        printed = instance.end()
    assert "amqp://guest:***@127.0.0.1" in printed


WRONG: dict[str, Callable[[str], str]] = {
    "refuses the user name or the password": lambda url: url.replace("guest:guest@", "guest:wrong@"),
    "does not answer": lambda _: "amqp://guest:guest@127.0.0.1:1//",
    "no virtual host": lambda url: url.removesuffix("/") + "elsewhere",
}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_wrong_with_it_is_said(rabbitmq: str, tmp_path: Path, words: str) -> None:
    url = WRONG[words](rabbitmq)
    answer = Instance(tmp_path / "data", {"TRUNKLINE_BROKER_URL": url})("up", "--no-flower", "--no-rpc")
    assert answer.code == 1
    assert "TRUNKLINE_BROKER_URL" in answer.err
    assert words in answer.err
    assert "bug" not in answer.err
    assert "guest:wrong" not in answer.err
    assert not (tmp_path / "data" / "instance.json").exists()
