"""How Redis is talked to: bounded in time, and retried only where somebody decided to."""

from __future__ import annotations

import redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry


def connect(url: str, *, timeout: float = 2.0) -> redis.Redis:
    """A client whose every reply comes within `timeout` seconds or raises `redis.TimeoutError`.

    One silent reconnect is allowed, for a connection that the server closed while it was idle: every script
    here is idempotent, so a command that was applied and is sent again changes nothing. More retries belong to
    the caller's RetryPolicy; redis-py's own default of ten would hide an outage for many seconds.
    """
    # A Unix socket knows no keepalive, and redis-py refuses the option there.
    keepalive = {} if url.startswith("unix://") else {"socket_keepalive": True}
    client: redis.Redis = redis.Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=min(timeout, 1.0),
        **keepalive,
        # A PING before a command would find nothing that the command does not; and a Redis on a full disk refuses
        # PING (MISCONF), but not reads.
        health_check_interval=0,
        # Not on a timeout, as redis-py would: waiting twice would double the bound.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )
    return client


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
    )
    return client
