"""Rules evaluated for a fleet: their states live beside the modes, so any number of evaluators agree."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping

from recovery.degradation.entries import AUTOMATIC, field_name
from recovery.degradation.manager import DegradationManager
from recovery.degradation.modes import DegradationMode
from recovery.degradation.rules import NEVER, Decision, Rule, RuleEngine, RuleState
from recovery.degradation.snapshot import Snapshot
from recovery.degradation.store import ABSENT, Change

logger = logging.getLogger(__name__)


class SharedRules:
    """Evaluates `rules` and writes the automatic modes through `manager`.

    Each change is written only if the rule's entry is still the one that it was derived from, by the server's
    clock; so of several evaluators one wins, and the others find its change on their next turn. Run it about every
    second. An evaluator must know the signals of its rules; what it cannot measure it leaves as it is.
    """

    def __init__(self, manager: DegradationManager, rules: Iterable[Rule]) -> None:
        self._manager = manager
        self._engine = RuleEngine(rules)
        self._unusable: set[str] = set()

    def evaluate(self, signals: Mapping[str, float]) -> list[Decision]:
        """Apply what the signals call for; the decisions that this evaluator wrote. Raises ModesUnavailable."""
        self._say_unusable(signals)
        snapshot = self._manager.fresh()
        self._engine.states = {name: _state(snapshot, rule) for name, rule in self._engine.rules.items()}
        decisions = self._engine.evaluate(signals, snapshot.server_ms / 1000)
        # One write each: should another evaluator have been first, exactly that decision is dropped.
        return [decision for decision in decisions if self._write(snapshot, decision)]

    def _write(self, snapshot: Snapshot, decision: Decision) -> bool:
        change = _change(snapshot, decision)
        written = self._manager.apply_rules([change]).applied > 0
        if written:
            logger.warning(
                "degradation: rule %s moved %s from %s to %s (%s = %g)",
                decision.rule.name,
                decision.rule.scope,
                decision.was.mode.name,
                decision.state.mode.name,
                decision.rule.signal,
                decision.value,
            )
        return written

    def _say_unusable(self, signals: Mapping[str, float]) -> None:
        unusable = {rule.signal for rule in self._engine.rules.values() if not rule.believes(signals.get(rule.signal))}
        for name in sorted(unusable - self._unusable):
            found = f"is {signals[name]:g}, which cannot be" if name in signals else "is not known"
            logger.warning("degradation: signal %s %s; rules on it stay as they are", name, found)
        self._unusable = unusable


def _field(rule: Rule) -> str:
    return field_name(AUTOMATIC, rule.scope, rule.name)


def _state(snapshot: Snapshot, rule: Rule) -> RuleState:
    entry = snapshot.entries.get(_field(rule))
    if entry is None:
        return RuleState()
    notes = entry.notes
    changed_at = entry.changed_ms / 1000
    # Easing and flapping are changes, so a time after the newest change is one before the clock was set back.
    return RuleState(
        mode=entry.mode,
        changed_at=changed_at,
        eased_at=min(_seconds(notes.get("eased_ms")), changed_at),
        flapped_at=min(_seconds(notes.get("flapped_ms")), changed_at),
    )


def _change(snapshot: Snapshot, decision: Decision) -> Change:
    rule, state = decision.rule, decision.state
    detail = {
        "reason": f"{rule.signal} = {decision.value:g}, enters at {rule.enter:g}, leaves at {rule.leave:g}",
        "eased_ms": _milliseconds(state.eased_at),
        "flapped_ms": _milliseconds(state.flapped_at),
    }
    entry = snapshot.entries.get(_field(rule))
    return Change(
        field=_field(rule),
        mode=DegradationMode(state.mode).name,
        detail=json.dumps(detail),
        expected=ABSENT if entry is None else entry.value,
    )


def _seconds(milliseconds: object) -> float:
    return milliseconds / 1000 if isinstance(milliseconds, int | float) else NEVER


def _milliseconds(seconds: float) -> int | None:
    return None if seconds == NEVER else round(seconds * 1000)
