"""The breakers that are compared, each set up as well as its own documentation says, behind one small shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import redis

FAILURES, OPEN_SECONDS, PROBES = 5, 60.0, 3


@dataclass(frozen=True, slots=True)
class Contender:
    """`call(fn)` goes through the breaker; `refusals` are the errors that say it did not."""

    call: Callable[[Callable[[], Any]], Any]
    refusals: tuple[type[Exception], ...]


def trunkline(url: str, name: str, open_seconds: float = OPEN_SECONDS) -> Contender:
    from recovery.breaker import CircuitBreaker, CircuitBreakerConfig, CircuitOpenError

    config = CircuitBreakerConfig(FAILURES, open_seconds, PROBES, half_open_probes=PROBES)
    return Contender(CircuitBreaker(name, config, url).call, (CircuitOpenError,))


def pybreaker(url: str, name: str, open_seconds: float = OPEN_SECONDS) -> Contender:
    import pybreaker as library

    storage = library.CircuitRedisStorage(library.STATE_CLOSED, redis.Redis.from_url(url), namespace=name)
    breaker = library.CircuitBreaker(
        fail_max=FAILURES, reset_timeout=open_seconds, success_threshold=PROBES, state_storage=storage
    )
    return Contender(breaker.call, (library.CircuitBreakerError,))


def aiobreaker(url: str, name: str, open_seconds: float = OPEN_SECONDS) -> Contender:
    """It lets one call through when it is half open, whatever the others are told to."""
    import aiobreaker as library
    from aiobreaker.storage.redis import CircuitRedisStorage

    storage = CircuitRedisStorage(library.CircuitBreakerState.CLOSED, redis.Redis.from_url(url), namespace=name)
    breaker = library.CircuitBreaker(
        fail_max=FAILURES, timeout_duration=timedelta(seconds=open_seconds), state_storage=storage
    )
    return Contender(breaker.call, (library.CircuitBreakerError,))


def interlock(url: str, name: str, open_seconds: float = OPEN_SECONDS, poll: float = 0.1) -> Contender:
    """Its view is refreshed by a thread; `poll` seconds are set to what the others offer (its default is 1 s)."""
    from interlock import CircuitBreaker, CircuitOpenError, Config
    from interlock.integrations.redis import RedisStorage

    config = Config(
        failure_rate_threshold=1.0,
        minimum_number_of_calls=FAILURES,
        window_size=FAILURES,
        wait_duration_in_open=open_seconds,
        permitted_calls_in_half_open=PROBES,
        max_concurrent_probes=PROBES,
    )
    storage = RedisStorage(redis.Redis.from_url(url), poll_interval=poll)
    return Contender(CircuitBreaker(name=name, config=config, storage=storage).call, (CircuitOpenError,))


def interlock_default(url: str, name: str, open_seconds: float = OPEN_SECONDS) -> Contender:
    return interlock(url, name, open_seconds, poll=1.0)


CONTENDERS: dict[str, Callable[..., Contender]] = {
    "trunkline": trunkline,
    "pybreaker 1.4": pybreaker,
    "aiobreaker 1.2": aiobreaker,
    "interlock-cb 2.8": interlock,
    "interlock-cb 2.8 (default poll)": interlock_default,
}
