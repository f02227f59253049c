"""What a worker holds unacknowledged is written to Redis as kombu's own transport writes it."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from celery import Celery
from kombu.transport import redis as kombu_redis

from config import kombu_redis as ours
from config.kombu_unacked import Transaction
from recovery.connections import connect
from tests.support.redis_servers import MakeRedis
from tests.support.scripted_redis import scripted_redis


@pytest.mark.parametrize("prefix", ["", "tl:{x}:broker:"])
def test_it_is_held_and_dropped_as_by_kombu(redis_url: str, prefix: str) -> None:
    held = [_held_by(transport, redis_url, prefix) for transport in (kombu_redis.Transport, ours.Transport)]
    assert held[0] == held[1]
    assert held[1] == ([prefix + "unacked", prefix + "unacked_index"], [])


def _held_by(transport: type[Any], url: str, prefix: str) -> tuple[list[str], list[str]]:
    """The keys that stand for a message taken, and those that are left when it was acknowledged."""
    app = Celery(broker=url.replace("unix://", "redis+socket://"), set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": prefix}
    with connect(url) as client, app.connection_for_read(transport=transport) as connection:
        jobs = connection.SimpleQueue("jobs")
        jobs.put({"n": 1})
        message = jobs.get(timeout=5)
        keys: Any = client.keys("*unacked*")
        found = sorted(key.decode() for key in keys)
        assert client.hlen(prefix + "unacked") == client.zcard(prefix + "unacked_index") == 1
        message.ack()
        left: Any = client.keys("*unacked*")
        jobs.close()
        client.flushall()
        return found, [key.decode() for key in left]


def test_a_refusal_is_the_one_that_redis_py_raises(make_redis: MakeRedis) -> None:
    with connect(make_redis().url) as client:
        client.config_set("maxmemory", 1)
        with pytest.raises(redis.RedisError) as theirs:
            client.pipeline().zadd("index", {"tag": 1.0}).hset("unacked", "tag", "x").execute()
        with pytest.raises(redis.RedisError) as mine:
            Transaction(client).zadd("index", {"tag": 1.0}).hset("unacked", "tag", "x").execute()
        assert type(mine.value) is type(theirs.value)
        # And the connection is at its beginning again.
        client.config_set("maxmemory", 0)
        assert Transaction(client).zadd("index", {"tag": 1.0}).hset("unacked", "tag", "x").execute() == [1, 1]
        client.set("index2", "no sorted set")
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            Transaction(client).zrem("index2", "tag").execute()
        assert Transaction(client).zrem("index", "tag").hdel("unacked", "tag").execute() == [1, 1]


def test_a_server_that_does_not_answer_is_a_timeout() -> None:
    with scripted_redis([]) as server:
        client = connect(server.url, timeout=0.05)
        # One of its four replies never comes.
        with pytest.raises(redis.TimeoutError):
            Transaction(client).zrem("index", "silence").execute()
        assert client.echo("again") == b"OK"
