"""Events of a breaker, and how its listeners are notified."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from recovery.breaker.state import CircuitState, Override, Snapshot
from recovery.clock import Clock

logger = logging.getLogger("recovery.breaker")


@dataclass(frozen=True, slots=True)
class BreakerEvent:
    """A change of state or override, as this process came to see it. `at` is wall-clock seconds since the epoch.

    `shared` is False when it is this process's own view (no Redis, or Redis away).
    """

    name: str
    before: CircuitState
    after: CircuitState
    override: Override | None
    reason: str
    generation: int
    trips: int
    shared: bool
    at: float


class BreakerListener(Protocol):
    """Anything that takes an event: a function, or an object with `__call__`. It runs in the call that saw it."""

    def __call__(self, event: BreakerEvent) -> None: ...


def event_between(name: str, before: Snapshot, after: Snapshot, at: float) -> BreakerEvent | None:
    """The event that leads from one snapshot to the next, if they differ in what matters to an observer."""
    if (before.state, before.override) == (after.state, after.override):
        return None
    return BreakerEvent(
        name=name,
        before=before.state,
        after=after.state,
        override=after.override,
        reason=after.override_reason if after.override else after.reason,
        generation=after.generation,
        trips=after.trips,
        shared=after.shared,
        at=at,
    )


def log_event(event: BreakerEvent) -> None:
    """The listener that every breaker has: a warning for each opening, information for the rest."""
    level = logging.WARNING if event.after is CircuitState.OPEN else logging.INFO
    logger.log(
        level,
        "Circuit breaker %r: %s -> %s (%s)%s%s",
        event.name,
        event.before,
        event.after,
        event.reason,
        f", override {event.override}" if event.override else "",
        "" if event.shared else ", only in this process",
    )


class Announcer:
    """Notifies the listeners of one breaker of changes. A listener that fails is logged; the call goes on."""

    def __init__(self, name: str, clock: Clock, listeners: Iterable[BreakerListener]) -> None:
        self.listeners: list[BreakerListener] = [log_event, *listeners]
        self._name = name
        self._clock = clock

    def announce(self, before: Snapshot, after: Snapshot) -> None:
        """Make an event of two snapshots, if they differ in what matters, and pass it on."""
        event = event_between(self._name, before, after, self._clock.time())
        if event is None:
            return
        for listener in self.listeners:
            try:
                listener(event)
            except Exception:  # an observer must not break the calls it observes
                logger.exception("A listener of circuit breaker %r failed", self._name)
