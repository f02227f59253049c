"""Automatic degradation: measure, and let the rules decide for the whole fleet."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from banking.ledger.maintenance import has_archive_error
from banking.ledger.pulse import Pulse
from banking.ledger.recovery_parts import memory_signal
from banking.restore.consistency import is_unsealable
from config.app import app
from config.queues import EVALUATE_HEALTH
from recovery.breaker import CircuitState, Override
from recovery.breaker.state import Snapshot
from recovery.degradation import OperationType
from recovery.degradation.evaluator import SharedRules
from recovery.degradation.modes import is_allowed
from recovery.degradation.signals import CallableSignal, DiskFreeRatio, Signal, collect
from tasks.errors import LEDGER_AWAY
from tasks.policies import PIPELINE_RULES
from tasks.runtime import Runtime, runtime

logger = logging.getLogger(__name__)

_logged_full = False


@app.task(name=EVALUATE_HEALTH, throws=LEDGER_AWAY)
def evaluate() -> dict[str, float]:
    """Measure the signals and apply the rules; returns what was measured."""
    parts = runtime()
    values = measure(parts)
    _log_full_dead_letters(values)
    _rules(parts).evaluate(values)
    return values


def measure(parts: Runtime) -> dict[str, float]:
    """The signals of the pipeline by name, those that could be measured."""
    breaker = parts.breaker.snapshot()
    pulse = parts.pulse.take(held=breaker.override is Override.OPEN or held_by_operator(parts))
    return collect(_signals(parts, pulse, breaker))


def held_by_operator(parts: Runtime) -> bool:
    """Whether an operator's mode refuses transactions just now."""
    explained = parts.degradation.explain("transactions", OperationType.WRITE)
    entries = [explained.deciding, *explained.others]
    return any(
        entry is not None and entry.manual and not is_allowed(entry.mode, OperationType.WRITE) for entry in entries
    )


@lru_cache(maxsize=1)
def _rules(parts: Runtime) -> SharedRules:
    return SharedRules(parts.degradation, PIPELINE_RULES)


def _signals(parts: Runtime, pulse: Pulse, breaker: Snapshot) -> list[Signal]:
    signals: list[Signal] = [
        CallableSignal("breaker_open_s", lambda: _breaker_open_seconds(breaker, pulse)),
        CallableSignal("backlog_age_s", lambda: pulse.backlog_age or 0.0),
        CallableSignal("seal_lag_s", lambda: max(0.0, pulse.seal_age - parts.settings.blocks.slot_interval)),
        CallableSignal("clock_back_s", lambda: pulse.clock_back),
        CallableSignal("unsealed_bytes_ratio", lambda: _unsealed_ratio(parts)),
        CallableSignal("archive_writable", lambda: _archive_writable(parts, pulse)),
        CallableSignal(
            "dead_letters_ratio", lambda: parts.dead_letters.limits.share(*parts.dead_letters.letters.size())
        ),
        memory_signal(parts.ledger),
    ]
    location = urlsplit(parts.settings.archive_location())
    if location.scheme == "file":
        signals.append(DiskFreeRatio(Path(unquote(location.path))))
    return signals


def _dead_letters_ratio(parts: Runtime) -> float:
    return parts.dead_letters.limits.share(*parts.dead_letters.letters.size())


def _unsealed_ratio(parts: Runtime) -> float:
    """Bytes of the slots that have no block yet, as a part of what one may share; 100 when no block can hold them."""
    state = parts.ledger.state()
    if is_unsealable(state):
        return 100.0
    return (state.slot_bytes + state.closing_bytes) / parts.ledger.limits.shared


def _log_full_dead_letters(values: dict[str, float]) -> None:
    """Log once that the dead letters have become full: no rule can make room, an operator must."""
    global _logged_full
    full = values.get("dead_letters_ratio", 0.0) >= 1.0
    if full and not _logged_full:
        logger.error("The dead letters are full, and nothing is accepted until some are replayed or dropped")
    _logged_full = full


def _breaker_open_seconds(breaker: Snapshot, pulse: Pulse) -> float | None:
    """How long the breaker's own rules have kept it from being closed. What an operator decided is no evidence."""
    if breaker.override is not None or breaker.state is CircuitState.CLOSED:
        return 0.0
    return pulse.bounded(None if breaker.age is None else breaker.age / 1000)


def _archive_writable(parts: Runtime, pulse: Pulse) -> float:
    # A block that was made says more than the note of an earlier failure, whose expiry a clock set back puts off.
    failed = has_archive_error(parts.ledger) and not pulse.sealing
    return 0.0 if failed else 1.0
