"""kombu's RabbitMQ transport, so that neither a frozen server nor a bad message stops a process.

A publish waits for the server's word that it has the message, in kombu for ever: here for `CONFIRM_SECONDS`. And a
message whose headers are not what Celery expects raises out of the worker's event loop: it exits, RabbitMQ gives the
message to the next one, which exits, too. Here it is logged and dropped, as on Redis (`config.kombu_redis`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from kombu import transport as transports
from kombu.transport import TRANSPORT_ALIASES, pyamqp

from config.kombu_redis import MALFORMED

logger = logging.getLogger(__name__)

#: Longest wait for the confirmation of one message; then publishing counts as failed, and is retried or told.
CONFIRM_SECONDS = 3.0


class Channel(pyamqp.Channel):
    """A channel whose publishes end, and whose consumers survive what they cannot make sense of."""

    def basic_publish_confirm(self, *args: Any, **options: Any) -> Any:
        """As py-amqp's, with a timeout. Raises TimeoutError, after which nobody knows whether it arrived.

        The connection ends then: a late confirmation would be taken for that of the next message.
        """
        options["confirm_timeout"] = options.get("confirm_timeout") or CONFIRM_SECONDS
        try:
            return super().basic_publish_confirm(*args, **options)
        except TimeoutError:
            self.connection.collect()
            raise

    def basic_consume(self, *args: Any, **options: Any) -> Any:
        """As py-amqp's, but a message that the consumer cannot make sense of is dropped, and not the consumer."""
        callback: Callable[[Any], Any] = options["callback"]
        queue = options.get("queue")

        def receive(raw: Any) -> None:
            try:
                callback(raw)
            except MALFORMED:
                logger.critical("A message in queue %s cannot be read and is dropped", queue, exc_info=True)
                made = getattr(raw, "made", None)
                if made is None or not made.acknowledged:
                    self.basic_reject(raw.delivery_tag, requeue=False)

        return super().basic_consume(*args, **options | {"callback": receive})

    def message_to_python(self, raw_message: Any) -> Any:
        """kombu's message; the raw one remembers it."""
        raw_message.made = super().message_to_python(raw_message)
        return raw_message.made


class Connection(pyamqp.Connection):
    """A connection of such channels."""

    Channel = Channel


class Transport(pyamqp.Transport):
    """The transport behind `amqp://` and `pyamqp://` once `install` was called."""

    Connection = Connection


class SSLTransport(pyamqp.SSLTransport):
    """The transport behind `amqps://`."""

    Connection = Connection


def install() -> None:
    """Use these transports in this process, as `config.kombu_redis.install` does for Redis."""
    for scheme in ("amqp", "pyamqp"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
    TRANSPORT_ALIASES["amqps"] = f"{__name__}:SSLTransport"
    looked_up: dict[str, object] = vars(transports)["_transport_cache"]
    for name, transport in list(looked_up.items()):
        if transport in (pyamqp.Transport, pyamqp.SSLTransport):
            del looked_up[name]
