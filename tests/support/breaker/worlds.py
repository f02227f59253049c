"""A breaker under test with a clock of its own: local to its process, or shared through a fake Redis."""

from __future__ import annotations

from typing import Any

import fakeredis
import pytest
import redis

from recovery.breaker import CircuitBreaker, CircuitBreakerConfig, CircuitOpenError
from recovery.breaker.redis_health import RedisLink
from recovery.breaker.redis_store import text
from recovery.clock import ManualClock


class FaultyRedis(fakeredis.FakeRedis):
    """A fake Redis that can be away, or execute scripts and lose the reply. `scripts` counts round trips."""

    away = False
    lose_replies = False
    scripts = 0

    def execute_command(self, *args: Any, **options: Any) -> Any:
        if args[0] == "EVALSHA":
            self.scripts += 1
        if self.away:
            raise redis.ConnectionError("away on purpose")
        reply: Any = super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        if self.lose_replies:
            raise redis.TimeoutError("reply lost on purpose")
        return reply


class World:
    """One dependency's breaker as seen by several processes; `advance` moves every clock there is."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.server_ms = 1_700_000_000_000
        self.redis = FaultyRedis(version=(6, 2))
        self.clocks: list[ManualClock] = []

    def breaker(self, config: CircuitBreakerConfig, name: str = "dep", **options: Any) -> CircuitBreaker:
        """The breaker as a further process has it (with `kind` local, the only one)."""
        clock = ManualClock()
        self.clocks.append(clock)
        if self.kind == "local":
            return CircuitBreaker(name, config, clock=clock, **options)
        link = RedisLink(self.redis, clock)
        return CircuitBreaker(name, config, link, clock=clock, server_time=lambda: self.server_ms, **options)

    def advance(self, seconds: float) -> None:
        self.server_ms += round(seconds * 1000)
        for clock in self.clocks:
            clock.advance(seconds)

    def fields(self, name: str = "dep") -> dict[str, str]:
        """What the breaker's key holds."""
        return {text(k): text(v) for k, v in self.redis.hgetall(f"trunkline:breaker:{name}").items()}


def work() -> str:
    return "done"


def fail() -> str:
    raise OSError("the dependency is ill")


def fail_times(breaker: CircuitBreaker, times: int) -> None:
    """Call a failing dependency; every call must be let through."""
    for _ in range(times):
        with pytest.raises(OSError, match="ill"):
            breaker.call(fail)


def assert_refused(breaker: CircuitBreaker) -> CircuitOpenError:
    """The next call is refused; returns the error."""
    with pytest.raises(CircuitOpenError) as caught:
        breaker.call(work)
    return caught.value
