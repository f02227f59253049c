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
    client: redis.Redis = LeanRedis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=min(timeout, 1.0),
        **keepalive,
        # A PING before a command would find nothing that the command does not; and a Redis on a full disk refuses
        # PING (MISCONF), but not reads.
        health_check_interval=0,
        # Not on a timeout, as redis-py would: waiting twice would double the bound.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        **_SHORT_HANDSHAKE,
    )
    return client


def fail_fast(client: redis.Redis, timeout: float) -> redis.Redis:
    """A client of the same server whose connections wait at most `timeout` seconds and never retry.

    A client with a pool of another kind (Sentinel's, for one) is returned as it is: its owner chose the waits.
    """
    pool = client.connection_pool
    if type(pool) not in (redis.ConnectionPool, redis.BlockingConnectionPool):
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
    return kind(connection_pool=redis.ConnectionPool(connection_class=pool.connection_class, **settings))


def connect_async(url: str, *, timeout: float, connections: int = 32) -> AsyncRedis:
    """A client for an event loop, as `connect` makes one for a thread; at most `connections` at a time."""
    client: AsyncRedis = AsyncRedis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=min(timeout, 1.0),
        max_connections=connections,
        health_check_interval=0,
        retry=AsyncRetry(NoBackoff(), 1),
        retry_on_error=[redis.ConnectionError],
        **_SHORT_HANDSHAKE,
    )
    return client
