"""How many messages wait in the broker, by queue: whatever broker it is, and never for long."""

from __future__ import annotations

import logging
from typing import Any

from kombu import Connection
from kombu.exceptions import ChannelError, OperationalError

from config import queues
from config.addresses import is_amqp
from config.celery_settings import celery_settings
from config.errors import ConfigurationError
from config.settings import Settings
from recovery.clock import SYSTEM_CLOCK, Clock

logger = logging.getLogger(__name__)

#: Seconds that the broker may take to answer, and for which it is not asked again when it did not.
PATIENCE = 1.0
REST = 5.0


class BrokerDepth:
    """Asks the broker of `settings`, from one thread at a time. No error leaves here."""

    def __init__(self, settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._settings = settings
        self._clock = clock
        self._connection: Any = None
        self._channel: Any = None
        self._rest_until = float("-inf")

    def read(self) -> dict[str, int]:
        """Waiting messages by queue; empty when the broker does not tell. A queue that nobody made has none."""
        if self._clock.monotonic() < self._rest_until:
            return {}
        try:
            return {queue: self._waiting(queue) for queue in (queues.TRANSACTIONS, queues.MAINTENANCE)}
        except self._failures() as error:
            logger.warning("The broker does not tell how many messages wait: %s", error)
            self._rest_until = self._clock.monotonic() + REST
            self.close()
            return {}

    def close(self) -> None:
        """Leave the broker; it is connected to anew by the next `read`."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            connection.release()

    def _connect(self) -> Any:
        if self._connection is None:
            options = dict(celery_settings(self._settings)["broker_transport_options"])
            if is_amqp(self._settings.broker_url()):
                options |= {"read_timeout": PATIENCE, "write_timeout": PATIENCE}
            else:
                options |= {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
            url = self._settings.celery_url()
            self._connection = Connection(url, transport_options=options, connect_timeout=PATIENCE)
        return self._connection

    def _failures(self) -> tuple[type[BaseException], ...]:
        known = () if self._connection is None else tuple(self._connection.recoverable_connection_errors)
        return (ConfigurationError, OperationalError, ChannelError, *known)

    def _waiting(self, queue: str) -> int:
        if self._channel is None:
            # Asked for by itself: `default_channel` would try for ever to reach a broker that is away.
            self._channel = self._connect().channel()
        try:
            return queues.waiting_messages(self._channel, queue)
        except ChannelError:
            # An AMQP broker has closed the channel to say so, Redis has not.
            if not getattr(self._channel, "is_open", True):
                self._channel = None
            return 0
