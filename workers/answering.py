"""Whether the servers that an instance is to use answer, asked before anything is started."""

from __future__ import annotations

import amqp
import redis
from amqp.exceptions import AccessRefused, NotAllowed
from kombu import Connection

from config.addresses import is_amqp, masked, refusal
from config.errors import TrunklineError
from config.settings import Settings
from recovery.connections import connect

_CONNECT_SECONDS = 3.0


def require_servers(settings: Settings) -> None:
    """Raises TrunklineError naming the variable whose server is away or refuses us."""
    if settings.redis.url:
        _require_redis("TRUNKLINE_REDIS_URL", settings.redis.url)
    if is_amqp(settings.broker.url):
        _require_rabbitmq(settings.broker.url)
    elif settings.broker.url:
        _require_redis("TRUNKLINE_BROKER_URL", settings.broker.url)


def _require_redis(variable: str, url: str) -> None:
    try:
        with connect(url) as client:
            client.ping()
    except redis.RedisError as error:
        problem = refusal(error) or f"the Redis server does not answer: {error}"
        raise TrunklineError(f"{variable} ({masked(url)}): {problem}.") from error


def _require_rabbitmq(url: str) -> None:
    try:
        with Connection(url, connect_timeout=_CONNECT_SECONDS) as connection:
            connection.connect()
    except AccessRefused as error:
        problem = "the broker refuses the user name or the password"
        raise TrunklineError(f"TRUNKLINE_BROKER_URL ({masked(url)}): {problem}.") from error
    except NotAllowed as error:
        problem = "the broker has no virtual host of that name, or does not let the user into it"
        raise TrunklineError(f"TRUNKLINE_BROKER_URL ({masked(url)}): {problem}.") from error
    except (OSError, amqp.AMQPError) as error:
        raise TrunklineError(f"TRUNKLINE_BROKER_URL ({masked(url)}): the broker does not answer: {error}.") from error
