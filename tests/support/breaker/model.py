"""The pure model of what Redis must answer: the breaker's plain rules, and what only the shared state knows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from recovery.breaker.core import BreakerCore
from recovery.breaker.state import CircuitState, Override, Request, Snapshot


@dataclass(slots=True)
class ModelServer(BreakerCore):
    """`BreakerCore` with generations by time, re-assertion of lost state, votes and a quorum of nodes."""

    nodes: dict[str, int] = field(default_factory=dict)
    override_length: int = 0

    def exchange(self, node: str, known: Snapshot | None, request: Request, now: int) -> Snapshot:
        """What `breaker_sync.lua` must answer."""
        if known is not None and known.generation > self.generation:
            self._reassert(known, now)
        if self.override_until is not None:
            self.override_until = min(self.override_until, now + self.override_length)
        self._pass_time(now)
        if self.state is CircuitState.CLOSED:
            self.probes.pop(request.lease, None)
        reason = None
        if request.generation == self.generation and self.state is CircuitState.CLOSED and self._ruled:
            reason = self._evidence(request, node, now)
        if reason:
            self._open(reason, request.draw, now)
        elif self.state is not CircuitState.CLOSED:
            self.sync(replace(request, acquire=""), now)
        if request.vote and self.state is CircuitState.CLOSED and self._ruled:
            threshold = self.config.failure_threshold
            vote = Request(failures=threshold, streak=threshold, draw=request.draw)
            reason = self._evidence(vote, node, now)
            if reason:
                self._open(reason, request.draw, now)
        granted = self._grant(request.acquire, now) if request.acquire and self._ruled else False
        return replace(self._snapshot(now, granted), shared=True)

    def lose(self) -> None:
        """Redis was emptied."""
        blank = ModelServer(self.config)
        for name in BreakerCore.__dataclass_fields__:
            setattr(self, name, getattr(blank, name))
        self.nodes = {}

    def _evidence(self, request: Request, node: str, now: int) -> str | None:
        if request.successes + request.failures == 0:
            return None
        if request.successes:
            self.failures = 0
        if request.failures:
            self.failures = max(self.failures + request.failures, request.streak)
        reason = self.window.add(request, now) if self.config.watches_rates else None
        if self.failures >= self.config.failure_threshold:
            reason = "consecutive failures"
        return reason if self._quorum(node, request.failures, now) else None

    def _quorum(self, node: str, failures: int, now: int) -> bool:
        if self.config.quorum <= 1:
            return True
        if failures and (node in self.nodes or len(self._seen(now)) < self.config.quorum):
            self.nodes[node] = now
        self.nodes = {name: at for name, at in self.nodes.items() if name in self._seen(now)}
        return len(self.nodes) >= self.config.quorum

    def _seen(self, now: int) -> list[str]:
        return [name for name, at in self.nodes.items() if at <= now < at + self.config.window * 1000]

    def _reassert(self, known: Snapshot, now: int) -> None:
        self._move(known.state, "re-asserted", now)
        self.generation, self.trips = known.generation, known.trips
        self.override_length = max(0, known.override_remaining)
        if known.state is CircuitState.CLOSED:
            self.since = None
        elif known.override is Override.OPEN:
            self.state, self.until = CircuitState.OPEN, now
        else:
            self.state = CircuitState.OPEN
            self.until = now + known.remaining
            self.length = max(self.length, known.remaining, int(self.config.timeout * 1000))
        self.override = Override(known.override) if known.override else None
        self.override_reason, self.override_by = known.override_reason, known.override_by
        self.override_until = None if known.override_remaining < 0 else now + known.override_remaining

    def _new_generation(self, now: int) -> None:
        self.generation = max(self.generation + 1, now)

    def _move(self, state: CircuitState, reason: str, now: int) -> None:
        BreakerCore._move(self, state, reason, now)
        self.nodes = {}
