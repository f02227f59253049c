"""kombu's Redis transport without one of its defects, and with fewer clients made.

After a lost connection Celery first collects the connection, which takes its parameters away, and then closes it.
A channel whose first closing was cut short (its BRPOP was under way) and that holds unacknowledged messages asks
for a new client then, and so does a task that ends later and wants to acknowledge: kombu 5.7 fails with an
AttributeError, which is not handled as a lost connection, and the worker exits with "Unrecoverable error". Here a
`redis.ConnectionError` is raised instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from kombu import transport as transports
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis


class Channel(kombu_redis.Channel):
    """A channel that reports a closed connection as such, and keeps one client for each connection pool."""

    _client_of_pool: Any = None

    def _connparams(self, asynchronous: bool = False) -> Any:
        if getattr(self.connection, "client", None) is None:
            raise redis.ConnectionError("the connection to the broker is closed")
        return super()._connparams(asynchronous)  # type: ignore[misc]  # the stubs leave it out

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        """A client for one command. kombu makes a new one for each publish and acknowledgement, 0.2 ms of CPU each;
        one for each connection pool does as well, since the connections are the pool's.
        """
        if client:
            yield client
            return
        pool = self.pool
        if self._client_of_pool is None or self._client_of_pool.connection_pool is not pool:
            self._client_of_pool = self._create_client()  # type: ignore[attr-defined]
        yield self._client_of_pool


class Transport(kombu_redis.Transport):
    """The transport behind `redis://` and `redis+socket://` once `install` was called."""

    Channel = Channel


def install() -> None:
    """Use this transport in this process. (`broker_transport` would not do: a URL's own scheme goes before it.)"""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
    # What somebody else's app in this process looked up before would be found again instead.
    looked_up: dict[str, object] = vars(transports)["_transport_cache"]
    for name in [name for name, transport in looked_up.items() if transport is kombu_redis.Transport]:
        del looked_up[name]
