"""kombu's Redis transport without two of its defects, and with fewer clients made.

After a lost connection Celery first collects the connection, which takes its parameters away, and then closes it.
A channel whose first closing was cut short (its BRPOP was under way) and that holds unacknowledged messages asks
for a new client then, and so does a task that ends later and wants to acknowledge: kombu 5.7 fails with an
AttributeError, which is not handled as a lost connection, and the worker exits with "Unrecoverable error". Here a
`redis.ConnectionError` is raised instead.

And bytes in a queue that are no message, or one whose parts are of the wrong kind, raise out of the worker's event
loop: it exits, kombu gives the message back, and the next worker exits, too. Here they are logged and dropped.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
from kombu import transport as transports
from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.transport import redis as kombu_redis
from redis.maint_notifications import MaintNotificationsConfig

from config.kombu_unacked import QoS

logger = logging.getLogger(__name__)

#: What redis-py would say on each new connection beside HELLO, three round trips that only decorate: an instance opens
#: dozens of connections at the moment when Redis returns. (Maintenance notices are Redis Enterprise's.)
_SHORT_HANDSHAKE = {"driver_info": None, "maint_notifications_config": MaintNotificationsConfig(enabled=False)}
#: What reading a message raises whose parts are missing, or of another kind than they should be.
MALFORMED = (AttributeError, LookupError, TypeError, ValueError)


class NoMessageError(ValueError):
    """What was in the queue is no message of kombu's."""


class Message(virtual.Message):
    """A message that says by one error that it is none."""

    def __init__(self, payload: Any, channel: Any = None, **options: Any) -> None:
        try:
            super().__init__(payload, channel, **options)
        except MALFORMED as error:
            raise NoMessageError(f"{type(error).__name__}: {error}") from error
        if not isinstance(self.delivery_info, dict):
            raise NoMessageError("its delivery_info is no map")


class Channel(kombu_redis.Channel):
    """A channel that reports a closed connection as such, and keeps one client for each connection pool."""

    Message = Message
    QoS = QoS
    _client_of_pool: Any = None

    def _connparams(self, asynchronous: bool = False) -> Any:
        if getattr(self.connection, "client", None) is None:
            raise redis.ConnectionError("the connection to the broker is closed")
        return super()._connparams(asynchronous) | _SHORT_HANDSHAKE  # type: ignore[misc]  # the stubs leave it out

    def basic_consume(
        self, queue: Any, no_ack: bool, callback: Callable[..., Any] | None, consumer_tag: str | None, **options: Any
    ) -> Any:
        """As kombu's, but a message that the consumer cannot make sense of is dropped, and not the consumer."""

        def receive(message: Any) -> None:
            try:
                if callback is not None:
                    callback(message)
            except MALFORMED:
                logger.critical("A message in queue %s cannot be read and is dropped", queue, exc_info=True)
                if not message.acknowledged:
                    message.reject()

        return super().basic_consume(queue, no_ack, receive, consumer_tag, **options)

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]  # the stubs leave it out
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            logger.critical("Bytes in a queue are no message and are dropped: %s", error)
            return True

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

    def _deliver(self, message: Any, queue: str | None) -> None:
        try:
            super()._deliver(message, queue)
        except NoMessageError as error:
            logger.critical("What was in queue %s is no message and is dropped: %s", queue, error)


class SentinelChannel(Channel, kombu_redis.SentinelChannel):
    """The same channel, to whichever server the Sentinels name."""


class SentinelTransport(Transport, kombu_redis.SentinelTransport):
    """The transport behind `sentinel://` once `install` was called."""

    default_port = 26379
    Channel = SentinelChannel


def install() -> None:
    """Use this transport in this process. (`broker_transport` would not do: a URL's own scheme goes before it.)"""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
    TRANSPORT_ALIASES["sentinel"] = f"{__name__}:SentinelTransport"
    # What somebody else's app in this process looked up before would be found again instead.
    looked_up: dict[str, object] = vars(transports)["_transport_cache"]
    replaced = (kombu_redis.Transport, kombu_redis.SentinelTransport)
    for name in [name for name, transport in looked_up.items() if transport in replaced]:
        del looked_up[name]
