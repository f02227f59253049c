"""FaultTolerantTask in real worker processes: what Flower sees, and work that survives its broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from config.sections import Fsync
from recovery.connections import connect
from recovery.dead_letters import DeadLetters
from tests.support.paths import ROOT
from tests.support.redis_servers import MakeRedis

pytestmark = [pytest.mark.processes, pytest.mark.real_redis]


def client_app(redis_url: str) -> Celery:
    return Celery("client", broker=redis_url.replace("unix://", "redis+socket://", 1), set_as_current=False)


@contextmanager
def worker(redis_url: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "celery", "-A", "tests.support.apps.retry_app", "worker", "-E"]
    options = ["--concurrency=1", "--without-gossip", "--without-mingle", "--loglevel=INFO"]
    environment = {**os.environ, "RETRY_TEST_REDIS_URL": redis_url, "RETRY_TEST_FOLDER": str(folder)}
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *options], cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(what: Callable[[], Any], folder: Path, seconds: float = 40.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("not in time; the worker's log:\n" + (folder / "worker.log").read_text()[-4000:])


@contextmanager
def captured_events(app: Celery) -> Iterator[list[dict[str, Any]]]:
    """The task events, as Flower receives them."""
    seen: list[dict[str, Any]] = []
    stop = threading.Event()
    ready = threading.Event()

    def capture() -> None:
        with app.connection_for_read() as connection:
            receiver = app.events.Receiver(connection, handlers={"*": seen.append})
            with receiver.consumer_context(wakeup=False) as (own, *_):
                ready.set()
                while not stop.is_set():
                    try:
                        own.drain_events(timeout=0.2)
                    except TimeoutError:
                        continue

    thread = threading.Thread(target=capture)
    thread.start()
    assert ready.wait(10)
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def test_retries_show_as_retry_events_with_sub_second_delays(redis_url: str, tmp_path: Path) -> None:
    app = client_app(redis_url)
    with captured_events(app) as events, worker(redis_url, tmp_path):
        app.send_task("flaky", args=[3])
        wait_for(lambda: [event for event in events if event["type"] == "task-succeeded"], tmp_path)
    retried = [event for event in events if event["type"] == "task-retried"]
    received = [event for event in events if event["type"] == "task-received"]
    assert len(retried) == 3
    assert all("not yet" in event["exception"] for event in retried)
    assert [event["retries"] for event in received] == [0, 1, 2, 3]
    assert len({event["uuid"] for event in received}) == 1
    delays = [
        datetime.fromisoformat(after["eta"]).timestamp() - before["timestamp"]
        for before, after in zip(retried, received[1:], strict=True)
    ]
    # Publishing comes just before the event, so a delay measured from the event is a little short.
    for delay, expected in zip(delays, [0.3, 0.45, 0.675], strict=True):
        assert expected - 0.2 < delay <= expected


def test_bad_messages_become_dead_letters_and_the_worker_lives_on(redis_url: str, tmp_path: Path) -> None:
    app = client_app(redis_url)
    with worker(redis_url, tmp_path) as process, connect(redis_url) as client:
        app.send_task("flaky", args=[1, 2, 3])
        app.send_task("flaky", kwargs={"colour": "red"})
        app.send_task("flaky", args=[0])
        wait_for((tmp_path / "flaky.done").exists, tmp_path)
        letters = DeadLetters(client, "retry-test").list()
        assert [letter.reason.split(":")[0] for letter in letters] == ["bad arguments"] * 2
        assert process.poll() is None


def test_a_task_that_kills_its_worker_becomes_a_dead_letter(redis_url: str, tmp_path: Path) -> None:
    app = client_app(redis_url)
    with worker(redis_url, tmp_path), connect(redis_url) as client:
        app.send_task("killer")
        letters = DeadLetters(client, "retry-test")
        (letter,) = wait_for(letters.list, tmp_path)
        app.send_task("flaky", args=[0])
        wait_for((tmp_path / "flaky.done").exists, tmp_path)
    assert "killing its worker" in letter.reason
    assert letter.kind == "killer"
    assert (tmp_path / "killer").read_text().splitlines() == ["run"] * 2


def test_a_broker_cut_off_at_the_retry_does_not_lose_the_work(make_redis: MakeRedis, tmp_path: Path) -> None:
    server = make_redis(fsync=Fsync.ALWAYS)
    app = client_app(server.url)
    with worker(server.url, tmp_path):
        app.send_task("cut_off")
        wait_for((tmp_path / "cut_off").exists, tmp_path)
        server.kill()
        (tmp_path / "broker.gone").touch()
        log = tmp_path / "worker.log"
        wait_for(lambda: "its message goes back to the broker" in log.read_text(), tmp_path)
        assert not (tmp_path / "cut_off.done").exists()
        server.start()
        wait_for((tmp_path / "cut_off.done").exists, tmp_path)


def test_a_broker_that_refuses_one_publication_gets_the_message_back(redis_url: str, tmp_path: Path) -> None:
    # As the test above, but the connection lives: Redis only refuses to store more (out of memory).
    app = client_app(redis_url)
    with worker(redis_url, tmp_path), connect(redis_url) as client:
        app.send_task("cut_off")
        wait_for((tmp_path / "cut_off").exists, tmp_path)
        client.config_set("maxmemory", 1)
        try:
            (tmp_path / "broker.gone").touch()
            log = tmp_path / "worker.log"
            wait_for(lambda: "its message goes back to the broker" in log.read_text(), tmp_path)
        finally:
            client.config_set("maxmemory", 0)
        wait_for((tmp_path / "cut_off.done").exists, tmp_path)
