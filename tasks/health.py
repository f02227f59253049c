"""Automatic degradation: measure, and let the rules decide for the whole fleet."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from config.app import app
from config.policies import PIPELINE_RULES
from config.queues import EVALUATE_HEALTH
from recovery.breaker import CircuitState
from recovery.degradation.evaluator import SharedRules
from recovery.degradation.rules import rules_from
from recovery.degradation.signals import CallableSignal, DiskFreeRatio, RedisMemoryRatio, Signal, collect
from tasks.errors import LEDGER_AWAY
from tasks.runtime import Runtime, runtime


@app.task(name=EVALUATE_HEALTH, throws=LEDGER_AWAY)
def evaluate() -> dict[str, float]:
    """Measure the signals and apply the rules; returns what was measured."""
    here = runtime()
    values = collect(_signals(here))
    _rules(here).evaluate(values)
    return values


@lru_cache(maxsize=1)
def _rules(here: Runtime) -> SharedRules:
    return SharedRules(here.degradation, rules_from(PIPELINE_RULES))


@lru_cache(maxsize=1)
def _signals(here: Runtime) -> list[Signal]:
    signals: list[Signal] = [
        CallableSignal("breaker_open_s", lambda: _breaker_open_seconds(here)),
        CallableSignal("backlog_age_s", lambda: _backlog_age_seconds(here)),
        CallableSignal("seal_lag_s", lambda: _seal_lag_seconds(here)),
        CallableSignal("archive_writable", lambda: _archive_writable(here)),
        RedisMemoryRatio(here.ledger.client),
    ]
    location = urlsplit(here.settings.archive_location())
    if location.scheme == "file":
        signals.append(DiskFreeRatio(Path(unquote(location.path))))
    return signals


def _breaker_open_seconds(here: Runtime) -> float:
    snapshot = here.breaker.snapshot()
    return 0.0 if snapshot.state is CircuitState.CLOSED else snapshot.age / 1000


def _now(here: Runtime) -> float:
    seconds, micros = here.ledger.client.time()
    return float(seconds) + float(micros) / 1e6


def _backlog_age_seconds(here: Runtime) -> float:
    oldest: Any = here.ledger.client.zrange(here.ledger.keys.queued, 0, 0, withscores=True)
    return max(0.0, _now(here) - oldest[0][1] / 1000) if oldest else 0.0


def _seal_lag_seconds(here: Runtime) -> float:
    """How much later than it should be the open slot is; the age of its predecessor's missing block counts."""
    state = here.ledger.state()
    return max(0.0, _now(here) - state.slot_time_ms / 1000 - here.settings.slot_interval)


def _archive_writable(here: Runtime) -> float:
    return 0.0 if here.ledger.client.exists(here.ledger.keys.archive_error) else 1.0
