"""Celery's settings, against the Celery and kombu that are installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any, cast

import pytest
from celery import Celery
from celery.app.defaults import NAMESPACES, flatten
from kombu.transport import redis as kombu_redis

from config import queues, serialization
from config.celery_settings import beat_schedule, celery_settings
from config.settings import Settings
from workers.beat import BoundedScheduler

SETTINGS = Settings.from_variables(redis_url="redis://127.0.0.1:6379/0")


@pytest.fixture(scope="module")
def conf() -> dict[str, Any]:
    return celery_settings(SETTINGS)


def test_every_name_is_one_that_celery_knows(conf: dict[str, Any]) -> None:
    """Celery ignores what it does not know, without a word."""
    known = set(dict(cast("Any", flatten(NAMESPACES))))
    assert set(conf) <= known


def test_every_transport_option_is_one_that_kombu_reads(conf: dict[str, Any]) -> None:
    assert set(conf["broker_transport_options"]) <= set(kombu_redis.Channel.from_transport_options)


def test_no_message_can_carry_code(conf: dict[str, Any]) -> None:
    assert set(conf["accept_content"]) == set(conf["result_accept_content"]) == {"json", "msgpack"}
    assert {conf["task_serializer"], conf["result_serializer"]} == {"json"}


def test_work_is_acknowledged_after_it_is_done(conf: dict[str, Any]) -> None:
    assert conf["task_acks_late"] is True
    assert conf["task_reject_on_worker_lost"] is True
    assert conf["task_ignore_result"] is True


def test_lost_messages_are_looked_for_within_seconds(conf: dict[str, Any]) -> None:
    options = conf["broker_transport_options"]
    assert options["visibility_timeout"] == SETTINGS.broker.visibility_timeout <= 60
    assert options["unacked_restore_interval"] * options["unacked_restore_throttle"] <= 10
    # A countdown must end well before its message is taken for lost.
    assert SETTINGS.intake.longest_countdown < options["visibility_timeout"] / 2


def test_no_socket_waits_for_ever_nor_gives_up_a_quiet_queue(conf: dict[str, Any]) -> None:
    options = conf["broker_transport_options"]
    assert kombu_redis.Transport.brpop_timeout < options["socket_timeout"] < 5
    assert options["socket_connect_timeout"] < 5
    assert options["socket_keepalive"] is True
    assert options["health_check_interval"] > 0


def test_broker_is_awaited_for_as_long_as_it_takes(conf: dict[str, Any]) -> None:
    assert conf["broker_connection_retry_on_startup"] is conf["broker_connection_retry"] is True
    assert conf["broker_connection_max_retries"] is None
    assert conf["broker_channel_error_retry"] is True


def test_little_is_held_back_by_a_worker(conf: dict[str, Any]) -> None:
    assert conf["worker_prefetch_multiplier"] <= 2
    assert conf["worker_soft_shutdown_timeout"] > 0


def test_beats_entries_do_not_expire_by_another_hosts_clock(conf: dict[str, Any]) -> None:
    assert conf["beat_scheduler"] == f"{BoundedScheduler.__module__}:{BoundedScheduler.__name__}"
    for name, entry in beat_schedule(SETTINGS).items():
        assert "options" not in entry, name
        assert conf["beat_max_loop_interval"] <= entry["schedule"], name


def test_each_task_has_its_queue_and_no_other_queue_exists(conf: dict[str, Any]) -> None:
    assert {queue.name for queue in conf["task_queues"]} == {queues.TRANSACTIONS, queues.MAINTENANCE}
    assert conf["task_create_missing_queues"] is False
    with Celery(set_as_current=False) as asked:
        asked.conf.update(conf)
        for name in (queues.PROCESS, queues.PROCESS_BATCH):
            assert asked.amqp.router.route({}, name)["queue"].name == queues.TRANSACTIONS
        for name in (queues.SWEEP, queues.SEAL, queues.CREATE_CHECKPOINT, queues.EVALUATE_HEALTH):
            assert asked.amqp.router.route({}, name)["queue"].name == queues.MAINTENANCE


def test_every_task_name_is_explicit() -> None:
    """In a process of its own: an app that was asked for its tasks keeps its settings."""
    program = "import workers.app; print(*workers.app.app.tasks)"
    environment = {**os.environ, "TRUNKLINE_REDIS_URL": SETTINGS.redis.url}
    answer = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    names = {name for name in answer.stdout.decode().split() if not name.startswith("celery.")}
    assert {queues.PROCESS, queues.PROCESS_BATCH, queues.SWEEP, queues.SEAL} <= names
    assert all(re.fullmatch(r"[a-z]+\.[a-z_]+", name) for name in names)
    assert not any(name.startswith(("tasks.", "workers.")) for name in names)


def test_msgpack_is_understood() -> None:
    from kombu.serialization import dumps, loads, prepare_accept_content

    serialization.install()  # as the first use of our app does
    content_type, encoding, data = dumps([["text"], {"a": 1}, None], serializer="msgpack")
    assert loads(data, content_type, encoding, accept=prepare_accept_content(["msgpack"])) == [["text"], {"a": 1}, None]


def test_our_transport_is_used_although_another_app_looked_kombus_up_before(monkeypatch: pytest.MonkeyPatch) -> None:
    from kombu import transport as transports

    from config.kombu_redis import Transport, install

    monkeypatch.setitem(vars(transports)["_transport_cache"], "redis", kombu_redis.Transport)
    install()
    found: Any = transports.get_transport_cls("redis")
    assert found is Transport
