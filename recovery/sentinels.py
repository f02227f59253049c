"""Redis behind Sentinels: who is the primary is asked at each new connection, and a demoted one is left.

The URL is `sentinel://USER:PASSWORD@HOST:26379,HOST:26379/DB?master_name=NAME`; user and password are those of the
Redis servers, `sentinel_username` and `sentinel_password` behind the question mark those of the Sentinels.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio import sentinel as async_sentinel
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

SCHEME = "sentinel"
DEFAULT_PORT = 26379
#: Longest wait in seconds for one Sentinel; then the next one is asked.
SENTINEL_SECONDS = 0.5


def is_sentinel(url: str) -> bool:
    """Whether `url` names Sentinels and not a Redis server."""
    return url.startswith(f"{SCHEME}://")


@dataclass(frozen=True)
class SentinelAddress:
    """The Sentinels, the name under which they watch the servers, and how to log in; secrets stay out of `repr`."""

    sentinels: tuple[tuple[str, int], ...]
    master_name: str
    server_options: Mapping[str, Any] = field(repr=False)
    sentinel_options: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, url: str) -> SentinelAddress:
        """What `url` says. Raises ValueError with what is missing."""
        parts = urlsplit(url)
        login, _, hosts = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        name = options.pop("master_name", "")
        if not name:
            raise ValueError("it does not say which servers the Sentinels watch: add ?master_name=NAME")
        of_sentinels = {key: options.pop(f"sentinel_{key}", "") for key in ("username", "password")}
        if options:
            raise ValueError(f"unknown option {min(options)} behind the question mark")
        of_servers: dict[str, Any] = {"username": unquote(user), "password": unquote(password)}
        return cls(
            tuple(_host_and_port(host) for host in hosts.replace(";", ",").split(",")),
            name,
            {key: value for key, value in of_servers.items() if value} | {"db": _database(parts.path)},
            {key: value for key, value in of_sentinels.items() if value},
        )

    def kwargs_for_sentinels(self, timeout: float) -> dict[str, Any]:
        """Options of the connections to the Sentinels, which wait at most `timeout` seconds and never retry."""
        wait = min(timeout, SENTINEL_SECONDS)
        return {**self.sentinel_options, "socket_timeout": wait, "socket_connect_timeout": wait}


def _host_and_port(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(DEFAULT_PORT)
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is no HOST:PORT of a Sentinel")
    return host.strip("[]"), int(port)


def _database(path: str) -> int:
    number = path.strip("/") or "0"
    if not number.isdecimal():
        raise ValueError(f"the database {number!r} is no number")
    return int(number)


class PrimaryPool(SentinelConnectionPool):
    """Connections to whoever is the primary; `options` are those of redis-py's connections."""

    def __init__(self, address: SentinelAddress, **options: Any) -> None:
        self.address = address
        sentinels = Sentinel(
            address.sentinels,
            sentinel_kwargs={
                **address.kwargs_for_sentinels(options.get("socket_timeout") or SENTINEL_SECONDS),
                "retry": Retry(NoBackoff(), 0),
            },
        )
        SentinelConnectionPool.__init__(self, address.master_name, sentinels, **{**address.server_options, **options})


def async_primary_pool(address: SentinelAddress, **options: Any) -> async_sentinel.SentinelConnectionPool:
    """The same for an event loop."""
    sentinels = async_sentinel.Sentinel(
        list(address.sentinels),
        sentinel_kwargs={
            **address.kwargs_for_sentinels(options.get("socket_timeout") or SENTINEL_SECONDS),
            "retry": AsyncRetry(NoBackoff(), 0),
        },
    )
    return async_sentinel.SentinelConnectionPool(
        address.master_name, sentinels, **{**address.server_options, **options}
    )


def primary_address(url: str) -> tuple[str, int]:
    """Host and port of the primary, asked now. Raises ValueError, `redis.ConnectionError` when no Sentinel knows."""
    with contextlib.closing(PrimaryPool(SentinelAddress.of(url))) as pool:
        host, port = pool.proxy.get_master_address()
    return str(host), int(port)
