"""Automatic degradation: measure, and let the rules decide for the whole fleet."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from banking.ledger.pulse import Pulse
from banking.restore.consistency import is_unsealable
from config.app import app
from config.queues import EVALUATE_HEALTH
from recovery.breaker import CircuitState, Override
from recovery.breaker.state import Snapshot
from recovery.degradation import OperationType
from recovery.degradation.evaluator import SharedRules
from recovery.degradation.modes import is_allowed
from recovery.degradation.rules import rules_from
from recovery.degradation.signals import CallableSignal, DiskFreeRatio, RedisMemoryRatio, Signal, collect
from tasks.errors import LEDGER_AWAY
from tasks.policies import PIPELINE_RULES
from tasks.runtime import Runtime, runtime

logger = logging.getLogger(__name__)

_told_full = False


@app.task(name=EVALUATE_HEALTH, throws=LEDGER_AWAY)
def evaluate() -> dict[str, float]:
    """Measure the signals and apply the rules; returns what was measured."""
    here = runtime()
    values = measure(here)
    _tell_full_letters(values)
    _rules(here).evaluate(values)
    return values


def measure(here: Runtime) -> dict[str, float]:
    """The signals of the pipeline by name, those that could be measured."""
    breaker = here.breaker.snapshot()
    pulse = here.pulse.take(held=breaker.override is Override.OPEN or held_by_operator(here))
    return collect(_signals(here, pulse, breaker))


def held_by_operator(here: Runtime) -> bool:
    """Whether an operator's mode refuses transactions just now."""
    explained = here.degradation.explain("transactions", OperationType.WRITE)
    found = [explained.deciding, *explained.others]
    return any(each is not None and each.manual and not is_allowed(each.mode, OperationType.WRITE) for each in found)


@lru_cache(maxsize=1)
def _rules(here: Runtime) -> SharedRules:
    return SharedRules(here.degradation, rules_from(PIPELINE_RULES))


def _signals(here: Runtime, pulse: Pulse, breaker: Snapshot) -> list[Signal]:
    signals: list[Signal] = [
        CallableSignal("breaker_open_s", lambda: _breaker_open_seconds(breaker, pulse)),
        CallableSignal("backlog_age_s", lambda: pulse.backlog_age or 0.0),
        CallableSignal("seal_lag_s", lambda: max(0.0, pulse.seal_age - here.settings.slot_interval)),
        CallableSignal("clock_back_s", lambda: pulse.clock_back),
        CallableSignal("unsealed_bytes_ratio", lambda: _unsealed_ratio(here)),
        CallableSignal("archive_writable", lambda: _archive_writable(here, pulse)),
        CallableSignal("dead_letters_ratio", lambda: here.dead_letters.limits.share(*here.dead_letters.letters.size())),
        RedisMemoryRatio(here.ledger.client),
    ]
    location = urlsplit(here.settings.archive_location())
    if location.scheme == "file":
        signals.append(DiskFreeRatio(Path(unquote(location.path))))
    return signals


def _unsealed_ratio(here: Runtime) -> float:
    """Bytes of the slots that have no block yet, as a part of what one may share; 100 when no block can hold them."""
    state = here.ledger.state()
    if is_unsealable(state):
        return 100.0
    return (state.slot_bytes + state.closing_bytes) / here.ledger.limits.shared


def _tell_full_letters(values: dict[str, float]) -> None:
    """Once, when they have become full: no rule can make room, an operator must."""
    global _told_full
    full = values.get("dead_letters_ratio", 0.0) >= 1.0
    if full and not _told_full:
        logger.error("The dead letters are full, and nothing is accepted until some are replayed or dropped")
    _told_full = full


def _breaker_open_seconds(breaker: Snapshot, pulse: Pulse) -> float | None:
    """How long the breaker's own rules have kept it from being closed. What an operator decided is no evidence."""
    if breaker.override is not None or breaker.state is CircuitState.CLOSED:
        return 0.0
    return pulse.bounded(None if breaker.age is None else breaker.age / 1000)


def _archive_writable(here: Runtime, pulse: Pulse) -> float:
    # A block that was made says more than the note of an earlier failure, whose expiry a clock set back puts off.
    failed = here.ledger.client.exists(here.ledger.keys.archive_error) and not pulse.sealing
    return 0.0 if failed else 1.0
