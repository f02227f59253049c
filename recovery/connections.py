"""Clients of Redis: each reply is bounded in time, and retries are left to the caller's `RetryPolicy`."""

from __future__ import annotations

from typing import Any

import redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from recovery.lean_client import LeanRedis
from recovery.sentinels import PrimaryPool, SentinelAddress, async_primary_pool, is_sentinel

#: No round trips on a new connection that only decorate: redis-py's name for itself, and Redis Enterprise's notices.
_SHORT_HANDSHAKE: dict[str, Any] = {
    "driver_info": None,
    "maint_notifications_config": MaintNotificationsConfig(enabled=False),
}


def connect(url: str, *, timeout: float = 2.0) -> redis.Redis:
    """A client whose every reply comes within `timeout` seconds or raises `redis.TimeoutError`.

    One silent reconnect is allowed, for a connection that the server closed while it was idle: every script
    here is idempotent, so a command that was applied and is sent again changes nothing. More retries belong to
    the caller's RetryPolicy; redis-py's own default of ten would hide an outage for many seconds.
    """
    # A Unix socket knows no keepalive, and redis-py refuses the option there.
    keepalive = {} if url.startswith("unix://") else {"socket_keepalive": True}
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": min(timeout, 1.0),
        **keepalive,
        # A PING before a command would find nothing that the command does not; and a Redis on a full disk refuses
        # PING (MISCONF), but not reads.
        "health_check_interval": 0,
        # Not on a timeout, as redis-py would: waiting twice would double the bound.
        "retry": Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        **_SHORT_HANDSHAKE,
    }
    return _client(LeanRedis, pool_of(url, **options))


def pool_of(url: str, **options: Any) -> redis.ConnectionPool:
    """A pool of connections to the server at `url`, or to the primary that the Sentinels at `url` name."""
    if is_sentinel(url):
        return PrimaryPool(SentinelAddress.of(url), **options)
    return redis.ConnectionPool.from_url(url, **options)


def _client(kind: type[redis.Redis], pool: redis.ConnectionPool) -> redis.Redis:
    client = kind(connection_pool=pool)
    # The pool is the client's own: closing the client closes it (as with redis-py's `from_url`).
    client.auto_close_connection_pool = True
    return client


def fail_fast(client: redis.Redis, timeout: float) -> redis.Redis:
    """A client of the same server whose connections wait at most `timeout` seconds and never retry.

    A client with a pool of another kind (redis-py's own for Sentinel, for one) is returned as it is: its owner chose
    the waits.
    """
    pool = client.connection_pool
    if type(pool) not in (redis.ConnectionPool, redis.BlockingConnectionPool, PrimaryPool):
        return client
    settings = dict(pool.connection_kwargs)
    settings.update(
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
        retry_on_timeout=False,
        health_check_interval=0,
        **_SHORT_HANDSHAKE,
    )
    # Of the client's own class: what its owner changed in it (or left out) stays so.
    kind = LeanRedis if type(client) is LeanRedis else redis.Redis
    if isinstance(pool, PrimaryPool):
        del settings["connection_pool"]
        return kind(connection_pool=PrimaryPool(pool.address, **settings))
    return kind(connection_pool=redis.ConnectionPool(connection_class=pool.connection_class, **settings))


def connect_async(url: str, *, timeout: float, connections: int = 32) -> AsyncRedis:
    """A client for an event loop, as `connect` makes one for a thread; at most `connections` at a time."""
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": min(timeout, 1.0),
        "max_connections": connections,
        "health_check_interval": 0,
        "retry": AsyncRetry(NoBackoff(), 1),
        "retry_on_error": [redis.ConnectionError],
        **_SHORT_HANDSHAKE,
    }
    if is_sentinel(url):
        return AsyncRedis.from_pool(async_primary_pool(SentinelAddress.of(url), **options))
    client: AsyncRedis = AsyncRedis.from_url(url, **options)
    return client
