"""The Celery app of `test_celery_retry.py`; its workers are real processes. Configured by the environment."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import redis
from celery import Celery

from recovery import DeadLetters, FaultTolerantTask, RetryPolicy, TransientError

REDIS_URL = os.environ["RETRY_TEST_REDIS_URL"]
FOLDER = Path(os.environ["RETRY_TEST_FOLDER"])

BROKER_URL = os.environ.get("RETRY_TEST_BROKER_URL") or REDIS_URL.replace("unix://", "redis+socket://", 1)

app = Celery("retry_test", broker=BROKER_URL)
app.conf.update(
    broker_transport_options={
        "visibility_timeout": 3,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": 2,
        "socket_timeout": 5,
        "socket_connect_timeout": 1,
    },
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_channel_error_retry=True,
    broker_connection_timeout=1,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    task_publish_retry_policy={"max_retries": 1, "interval_start": 0.05, "interval_max": 0.1},
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
)

if BROKER_URL.startswith("amqp"):
    app.conf.update(broker_transport_options={}, task_default_queue_type="quorum", task_default_exchange_type="topic")

dead_letters = DeadLetters(redis.Redis.from_url(REDIS_URL, socket_timeout=2), "retry-test")


class Base(FaultTolerantTask):
    abstract = True
    retry_policy = RetryPolicy(max_attempts=4, initial_delay=0.3, backoff_multiplier=1.5, jitter_factor=0.0)
    dead_letters = dead_letters


def note(name: str, line: str) -> int:
    """Append `line` to the file `name`; returns how many lines it has then."""
    path = FOLDER / name
    with path.open("a") as stream:
        stream.write(line + "\n")
    return len(path.read_text().splitlines())


@app.task(name="flaky", base=Base)
def flaky(failures: int) -> None:
    """Fails so many times, then works."""
    if note("flaky", "run") <= failures:
        raise TransientError("not yet")
    note("flaky.done", "done")


@app.task(name="cut_off", base=Base)
def cut_off() -> None:
    """Its first run waits until the test has cut the broker off, then fails: its retry is published to nobody."""
    if note("cut_off", "run") == 1:
        deadline = time.monotonic() + 30
        while not (FOLDER / "broker.gone").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        raise TransientError("failing just when the broker is away")
    note("cut_off.done", "done")


@app.task(name="killer", base=Base, max_redeliveries=1)
def killer() -> None:
    """Takes its worker's pool process along, every time."""
    note("killer", "run")
    os.kill(os.getpid(), signal.SIGKILL)
