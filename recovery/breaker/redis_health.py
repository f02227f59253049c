"""The connection of breakers to Redis, with short timeouts and pauses after errors, so that a call waits briefly."""

from __future__ import annotations

import logging
from weakref import WeakKeyDictionary

import redis

from recovery.clock import Clock
from recovery.connections import fail_fast, pool_of

logger = logging.getLogger(__name__)

#: Seconds to wait for a connection or a reply. A call does at most one exchange that fails: below 50 ms in all.
TIMEOUT = 0.04
#: Seconds without a new attempt after a failure; doubled with each failure in a row.
MIN_PAUSE, MAX_PAUSE = 0.02, 0.5
#: What counts as "Redis is away": also its refusals (LOADING, READONLY, OOM), since no caller may suffer from them.
LINK_ERRORS = (redis.RedisError, OSError)


class RedisLink:
    """One Redis as seen by all breakers of this process that share it, and whether it is worth asking now."""

    def __init__(self, client: redis.Redis, clock: Clock) -> None:
        self.client = client
        self._clock = clock
        self._retry_at = 0.0
        self._pause = 0.0

    @property
    def away(self) -> bool:
        """True from a failure until an exchange works again."""
        return self._pause > 0

    def usable(self, *, may_retry: bool) -> bool:
        """Whether to try an exchange. While Redis is away only those that `may_retry` do, after the pause."""
        return not self.away or (may_retry and self._clock.monotonic() >= self._retry_at)

    def failed(self, error: BaseException) -> None:
        """An exchange failed: leave Redis alone for a while."""
        if not self.away:
            logger.warning("Redis is away (%s); circuit breakers use this process's own view.", error)
        self._pause = min(max(MIN_PAUSE, self._pause * 2), MAX_PAUSE)
        self._retry_at = self._clock.monotonic() + self._pause

    def worked(self) -> None:
        """An exchange worked."""
        if self.away:
            logger.warning("Redis is back; circuit breakers share their state again.")
            self._pause = 0.0

    def after_fork(self) -> None:
        """Leave the parent's connections to the parent."""
        self.client.connection_pool.reset()


_links: WeakKeyDictionary[redis.ConnectionPool, RedisLink] = WeakKeyDictionary()
_pools: dict[str, redis.ConnectionPool] = {}


def link_to(target: redis.Redis | str, clock: Clock) -> RedisLink:
    """The link to `target`, a client or a URL; breakers that name the same target share one link.

    The given client is not used itself: it may wait for minutes and retry ten times. Its connection settings are
    taken over with short timeouts and without retries. (A client of redis-py's own for Sentinel is used as it is.)
    """
    if isinstance(target, str):
        if target not in _pools:
            _pools[target] = pool_of(target)
        target = redis.Redis(connection_pool=_pools[target])
    pool = target.connection_pool
    link = _links.get(pool)
    if link is None or link._clock is not clock:
        link = RedisLink(fail_fast(target, TIMEOUT), clock)
        _links[pool] = link
    return link
