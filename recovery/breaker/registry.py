"""Breakers by name: one object per name and process, and the list of all that Redis knows."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import redis

from recovery.breaker.breaker import CircuitBreaker
from recovery.breaker.config import CircuitBreakerConfig
from recovery.breaker.redis_store import breaker_key, index_key, text
from recovery.breaker.state import CircuitState, Override
from recovery.errors import ConfigurationError
from recovery.spans import span

_lock = threading.RLock()
_breakers: dict[str, CircuitBreaker] = {}
_defaults: dict[str, Any] = {}


def configure_breakers(**options: Any) -> None:
    """Say once what every `get_breaker` shall pass on to CircuitBreaker: `redis`, `namespace`, `listeners`, ...

    Forgets the breakers handed out before, so call it when the process starts.
    """
    with _lock:
        _defaults.clear()
        _defaults.update(options)
        _breakers.clear()


def get_breaker(name: str, config: CircuitBreakerConfig | None = None, **options: Any) -> CircuitBreaker:
    """The breaker `name` of this process, made on first use with `config` and `options` (see CircuitBreaker).

    Raises ConfigurationError when it exists with another config: two rules for one breaker would fight.
    """
    with _lock:
        known = _breakers.get(name)
        if known is None:
            known = _breakers[name] = CircuitBreaker(name, config, **{**_defaults, **options})
        elif config is not None and config != known.config:
            raise ConfigurationError(f"Circuit breaker {name!r} exists with another config: {known.config}.")
        return known


@dataclass(frozen=True, slots=True)
class BreakerStatus:
    """One breaker as Redis has it, for a person to read. Ages and rests are seconds.

    `state` is what callers meet: an override comes before the rules. `for_seconds` is
    None when an override decides the state, or when it never changed. `retry_in` is the rest of the open time (0 when
    the next call may probe). `override_ends_in` is None for an override without an end.
    """

    name: str
    state: CircuitState
    for_seconds: float | None
    retry_in: float
    generation: int
    trips: int
    failures_in_a_row: int
    probes_in_flight: int
    calls: int
    failures: int
    slow: int
    rejected: int
    reason: str
    override: Override | None
    override_reason: str
    override_by: str
    override_ends_in: float | None


def list_breakers(client: redis.Redis, namespace: str = "trunkline") -> list[BreakerStatus]:
    """All breakers that Redis knows, by name; those whose state has run out are left out. Writes nothing."""
    names = sorted(text(name) for name in client.smembers(index_key(namespace)))
    pipe = client.pipeline(transaction=False)
    pipe.time()
    for name in names:
        pipe.hgetall(breaker_key(namespace, name))
    (seconds, microseconds), *hashes = pipe.execute()
    now = int(seconds) * 1000 + int(microseconds) // 1000
    found = [(name, fields) for name, fields in zip(names, hashes, strict=True) if fields]
    return [_status(name, {text(k): text(v) for k, v in fields.items()}, now) for name, fields in found]


def _status(name: str, fields: dict[str, str], now: int) -> BreakerStatus:
    def number(field: str) -> int:
        return int(fields.get(field) or 0)

    override = Override(fields["override"]) if fields.get("override") else None
    ends = number("override_until")
    if override is not None and 0 < ends <= now:
        override = None
    state = CircuitState(fields.get("state") or "closed")
    retry_in = max(0, number("until") - now) if state is CircuitState.OPEN else 0
    if override is Override.OPEN:
        state, retry_in = CircuitState.OPEN, max(0, ends - now)
    elif override is Override.CLOSED:
        state, retry_in = CircuitState.CLOSED, 0
    age = span(number("since"), now)
    return BreakerStatus(
        name=name,
        state=state,
        for_seconds=None if age is None or override in (Override.OPEN, Override.CLOSED) else age / 1000,
        retry_in=retry_in / 1000,
        generation=number("gen"),
        trips=number("trips"),
        failures_in_a_row=number("fails"),
        probes_in_flight=sum(
            int(entry.rsplit("=", 1)[1]) > now for entry in fields.get("probes", "").split(",") if entry
        ),
        calls=number("calls"),
        failures=number("failures"),
        slow=number("slow"),
        rejected=number("rejected"),
        reason=fields.get("reason", ""),
        override=override,
        override_reason=fields.get("override_reason", "") if override else "",
        override_by=fields.get("override_by", "") if override else "",
        override_ends_in=max(0, ends - now) / 1000 if override and ends else None,
    )
