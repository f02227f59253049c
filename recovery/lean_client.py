"""A client of Redis whose scripts cost a fifth of redis-py's time; everything else is redis-py's, connections too."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import redis

try:
    import hiredis
except ImportError:
    # An extra of redis-py's (`redis[hiredis]`): without it scripts cost what they cost there.
    _pack_command: Callable[..., bytes] | None = None
else:
    _pack_command = hiredis.pack_command

#: A connection of redis-py's, for which it has no types.
_Connection = Any
_NOT_ANSWERED = (redis.ConnectionError, redis.TimeoutError, OSError)


class LeanRedis(redis.Redis):
    """`redis.Redis` with its own `evalsha`: the same connections, errors, waits and retries, without the detours.

    redis-py takes a connection out of its pool and puts it back, looks at each argument, and keeps telemetry around
    every command: about 45 us of a script's round trip (docs/decisions). Here connections stay out of the pool between
    two calls. Threads may share a client; a forked process makes connections of its own.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._idle: list[_Connection] = []
        self._process = os.getpid()

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        """Run the script by its hash. Raises what `redis.Redis.evalsha` raises."""
        if _pack_command is None:
            return super().evalsha(sha, numkeys, *keys_and_args)
        try:
            packed = _pack_command(("EVALSHA", sha, numkeys, *keys_and_args))
        except TypeError:
            # A kind of argument that is rare: redis-py knows what to do, or what to say.
            return super().evalsha(sha, numkeys, *keys_and_args)
        connection = self._take()
        try:
            self._leave_demoted(connection)
            _make_ready(connection)
            try:
                return _exchange(connection, packed)
            except _NOT_ANSWERED as error:
                return _retried(connection, packed, error)
        finally:
            self._idle.append(connection)

    def _take(self) -> _Connection:
        if self._process != os.getpid():
            # Forked: the sockets are the parent's.
            self._idle, self._process = [], os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return self.connection_pool.get_connection()

    def _leave_demoted(self, connection: _Connection) -> None:
        """Behind Sentinels: a connection to a server that is the primary no longer, as others of the pool have seen."""
        primary = getattr(self.connection_pool, "master_address", None)
        if primary is not None and primary != (connection.host, connection.port):
            connection.disconnect()


def _make_ready(connection: _Connection) -> None:
    """Connect anew when the server has closed it, or has sent what nobody waits for. (As redis-py's pool does.)"""
    try:
        if not connection.can_read():
            return
    except _NOT_ANSWERED:
        pass
    connection.disconnect()
    connection.connect()
    if connection.can_read():
        raise redis.ConnectionError("Connection not ready")


def _exchange(connection: _Connection, packed: bytes) -> Any:
    try:
        connection.send_packed_command((packed,))
        reply = connection.read_response()
    except redis.ResponseError as error:
        if isinstance(error, redis.exceptions.ReadOnlyError) or "READONLY" in str(error):
            # A copy, or a primary that was demoted: whoever is at the address next time may take writes.
            connection.disconnect()
        raise
    except BaseException:
        # Also what a signal raises between the two: a reply still to come must never be the next command's.
        connection.disconnect()
        raise
    if connection.should_reconnect():
        connection.disconnect()
    return reply


def _retried(connection: _Connection, packed: bytes, error: Exception) -> Any:
    """What the connection's own policy makes of the first failure, `error`."""
    failures = [error]

    def attempt() -> Any:
        if failures:
            raise failures.pop()
        return _exchange(connection, packed)

    return connection.retry.call_with_retry(attempt, lambda _: connection.disconnect())
