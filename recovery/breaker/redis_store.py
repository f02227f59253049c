"""The state of a breaker in its one Redis key, moved only by the Lua scripts beside this package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import redis

from recovery.breaker.config import CircuitBreakerConfig
from recovery.breaker.state import CircuitState, Override, Request, Snapshot
from recovery.clock import Clock
from recovery.scripts import Argument, LuaScript

_LUA = Path(__file__).parent.parent / "lua"
SYNC = LuaScript(_LUA / "breaker_sync.lua")
OVERRIDE = LuaScript(_LUA / "breaker_override.lua")

ServerTime = Callable[[], int]


def breaker_key(namespace: str, name: str) -> str:
    """The key that holds everything about the breaker `name`."""
    return f"{namespace}:breaker:{name}"


def index_key(namespace: str) -> str:
    """The set of the names of all breakers, for listing them."""
    return f"{namespace}:breakers"


def text(value: Any) -> str:
    """A reply as text, whether or not the client decodes."""
    return value.decode() if isinstance(value, bytes) else str(value)


class RedisStore:
    """Talks to Redis and nothing else: it raises what redis-py raises. `known` is the newest state it has seen.

    `server_time` (milliseconds) replaces the server's clock in tests.
    """

    remote = True

    def __init__(
        self,
        name: str,
        config: CircuitBreakerConfig,
        client: redis.Redis,
        clock: Clock,
        *,
        namespace: str,
        node: str,
        server_time: ServerTime | None = None,
    ) -> None:
        self.known: Snapshot | None = None
        self._known_at = 0.0
        self._name = name
        self._client = client
        self._clock = clock
        self._keys = [breaker_key(namespace, name)]
        self._index = index_key(namespace)
        self._server_time = server_time
        self._retention_ms = int(config.retention * 1000)
        self._rules = (*_rules(config), node)

    def sync(self, request: Request) -> Snapshot:
        sent = self._clock.monotonic()
        reply = SYNC(self._client, self._keys, self._arguments(request))
        snapshot = _parse(reply)
        self.known, self._known_at = replace(snapshot, granted=False), sent
        if int(reply[14]):
            self._client.sadd(self._index, self._name)
        return snapshot

    def override(self, action: str, *, for_ms: int, reason: str, by: str) -> Snapshot:
        generation = self.known.generation if self.known else 0
        arguments: list[Argument] = [self._now(), action, for_ms, reason, by, self._retention_ms, generation]
        reply = OVERRIDE(self._client, self._keys, arguments)
        if int(reply[1]):
            self._client.sadd(self._index, self._name)
        return self.sync(Request())

    def known_now(self) -> Snapshot | None:
        """What is known, with the spans that have passed since taken off."""
        if self.known is None:
            return None
        passed = int((self._clock.monotonic() - self._known_at) * 1000)
        known = replace(self.known, remaining=max(0, self.known.remaining - passed))
        if known.override is None or known.override_remaining < 0:
            return known
        if known.override_remaining > passed:
            return replace(known, override_remaining=known.override_remaining - passed)
        return replace(known, override=None, override_remaining=-1, override_reason="", override_by="")

    def _now(self) -> str:
        return "" if self._server_time is None else str(self._server_time())

    def _arguments(self, request: Request) -> list[Argument]:
        known = self.known_now() or Snapshot()
        return [
            self._now(),
            *self._rules,
            request.generation,
            request.successes,
            request.slow_successes,
            request.failures,
            request.slow_failures,
            request.streak,
            request.rejected,
            request.lease,
            str(request.verdict),
            request.acquire,
            int(request.vote),
            request.draw,
            known.generation,
            str(known.state),
            known.remaining,
            known.trips,
            str(known.override or ""),
            known.override_remaining,
            known.override_reason,
            known.override_by,
        ]


def _rules(config: CircuitBreakerConfig) -> tuple[Argument, ...]:
    open_ms = max(1, int(config.timeout * 1000))
    return (
        config.failure_threshold,
        open_ms,
        config.success_threshold,
        config.timeout_growth,
        max(open_ms, int(config.max_timeout * 1000)),
        config.timeout_jitter,
        config.half_open_probes,
        int(config.probe_lease * 1000),
        config.quorum,
        max(1, int(config.window * 1000)),
        config.minimum_calls,
        config.failure_rate or 0,
        config.slow_call_rate or 0,
        int(config.retention * 1000),
    )


def _parse(reply: Sequence[Any]) -> Snapshot:
    return Snapshot(
        generation=int(reply[0]),
        state=CircuitState(text(reply[1])),
        remaining=int(reply[2]),
        age=None if int(reply[3]) < 0 else int(reply[3]),
        trips=int(reply[4]),
        failures=int(reply[5]),
        successes=int(reply[6]),
        probes=int(reply[7]),
        granted=bool(reply[8]),
        override=Override(text(reply[9])) if reply[9] else None,
        override_remaining=int(reply[10]),
        override_reason=text(reply[11]),
        override_by=text(reply[12]),
        reason=text(reply[13]),
        shared=True,
    )
