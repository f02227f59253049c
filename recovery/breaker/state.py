"""A breaker's state, and the messages between a process and the store that keeps the state."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class CircuitState(StrEnum):
    """Closed lets calls through, open refuses them, half-open lets a few probes through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Override(StrEnum):
    """What an operator decided; it beats the rules until it is cleared or runs out."""

    OPEN = "open"
    CLOSED = "closed"
    DISABLED = "disabled"


class Verdict(StrEnum):
    """What the end of a probe says about the dependency; VOID says nothing and only gives the lease back."""

    OK = "ok"
    FAIL = "fail"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Request:
    """One exchange with the store: report what happened, perhaps ask for a probe, and get the state back.

    `generation` is the state that the outcomes belong to; the store ignores them when it has moved on.
    `streak` is how many calls in a row failed in this process. `lease` is the probe that ended with `verdict`.
    `acquire` is the id under which a probe is asked for. `vote` says that this process, cut off from the store,
    opened by its own evidence. `draw` is a random number in 0..1 for the jitter.
    """

    generation: int = 0
    successes: int = 0
    slow_successes: int = 0
    failures: int = 0
    slow_failures: int = 0
    streak: int = 0
    rejected: int = 0
    lease: str = ""
    verdict: Verdict = Verdict.VOID
    acquire: str = ""
    vote: bool = False
    draw: float = 0.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state as the store returned it. Times are milliseconds of the store's clock, so only spans are compared.

    `remaining` is the rest of the open time; `age` is how long ago the rules changed the state (that under an
    override), None when they never did. `granted` answers `Request.acquire`.
    `override_remaining` is -1 for an override without an end. `shared` is False for a process's own view, and
    `own_generation` counts the changes of the view that a process keeps beside the shared one for its quorum.
    """

    generation: int = 0
    state: CircuitState = CircuitState.CLOSED
    remaining: int = 0
    age: int | None = None
    trips: int = 0
    failures: int = 0
    successes: int = 0
    probes: int = 0
    granted: bool = False
    override: Override | None = None
    override_remaining: int = -1
    override_reason: str = ""
    override_by: str = ""
    reason: str = ""
    shared: bool = False
    own_generation: int = 0

    @property
    def key(self) -> tuple[int, int]:
        """Equal keys mean the same state: an outcome counts only while the key is the one it was admitted under."""
        return self.generation, self.own_generation

    @property
    def rejects(self) -> bool:
        """True when calls are not simply let through."""
        return self.state is not CircuitState.CLOSED and self.override is not Override.DISABLED


class Store(Protocol):
    """Where the state of one breaker is kept: this process, or Redis."""

    remote: bool
    """True when `sync` may wait for the network."""

    def sync(self, request: Request) -> Snapshot:
        """Apply `request` in one atomic step and return the state after it."""

    def override(self, action: str, *, for_ms: int, reason: str, by: str) -> Snapshot:
        """Set an `Override` by its value, or `clear` it, or `reset` everything. `for_ms` -1 means without end."""

    def after_fork(self) -> None:
        """Forget whatever the child of a fork must not share with its parent."""
