"""What a worker holds unacknowledged, kept in Redis as kombu keeps it, for a third of the CPU.

kombu's Redis transport writes down every message that it takes and strikes it out when it is acknowledged, each time by
a pipeline of redis-py's: 76 us of CPU in the worker's event loop, most of it around the two commands. Here they are
packed at once; connection, errors and retries stay redis-py's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import hiredis
import redis
from kombu.transport import redis as kombu_redis

_MULTI = hiredis.pack_command(("MULTI",))
_EXEC = hiredis.pack_command(("EXEC",))


class Transaction:
    """The commands that kombu gives a pipeline for unacknowledged messages, sent as one MULTI ... EXEC."""

    def __init__(self, client: Any) -> None:
        self._pool = client.connection_pool
        self._prefix = getattr(client, "global_keyprefix", "")
        self._packed: list[bytes] = []

    def zadd(self, name: str, scores: Mapping[str, float]) -> Self:
        (member, score), *_ = scores.items()
        return self._add("ZADD", name, score, member)

    def hset(self, name: str, field: str, value: str) -> Self:
        return self._add("HSET", name, field, value)

    def zrem(self, name: str, member: str) -> Self:
        return self._add("ZREM", name, member)

    def hdel(self, name: str, field: str) -> Self:
        return self._add("HDEL", name, field)

    def _add(self, command: str, name: str, *arguments: Any) -> Self:
        self._packed.append(hiredis.pack_command((command, self._prefix + name, *arguments)))
        return self

    def execute(self) -> list[Any]:
        """The replies. Raises what redis-py's pipeline raises."""
        connection = self._pool.get_connection()
        try:
            replies: list[Any] = connection.retry.call_with_retry(
                lambda: self._exchange(connection), lambda _: connection.disconnect()
            )
            return replies
        finally:
            self._pool.release(connection)

    def _exchange(self, connection: Any) -> list[Any]:
        refused: list[redis.ResponseError] = []
        try:
            connection.send_packed_command((b"".join((_MULTI, *self._packed, _EXEC)),))
            for _ in range(len(self._packed) + 1):
                try:
                    connection.read_response()
                except redis.ResponseError as error:
                    # Of a command that was not taken; the replies behind it still come.
                    refused.append(error)
            try:
                replies: list[Any] = connection.read_response()
            except redis.ResponseError as error:
                raise (refused or [error])[0] from None
        except redis.ResponseError:
            raise
        except BaseException:
            # A reply still to come must never be the next command's.
            connection.disconnect()
            raise
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies


class QoS(kombu_redis.QoS):
    """kombu's, with its pipelines replaced."""

    @contextmanager
    def pipe_or_acquire(self, pipe: Any = None, client: Any = None) -> Iterator[Any]:
        """A pipeline: the one given, or a new transaction."""
        if pipe:
            yield pipe
            return
        channel: Any = self.channel
        with channel.conn_or_acquire(client) as acquired:
            yield Transaction(acquired)
