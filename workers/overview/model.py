"""The snapshot: what an instance is doing at one moment. Times are Unix seconds, ages and spans seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from banking.ledger.ledger import State
from banking.ledger.observing import RestoreProgress, Server, Waiting
from banking.ledger.worker_registry import WorkerStatus
from recovery.breaker import BreakerStatus
from recovery.degradation.status import SystemStatus


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a component may do an operation, and if not, what decides.

    `mode` is in force for `since` seconds (None: not known) because of what `who` set for `scope`; `reason` is what was
    given for it.
    `expires_in` is None for what does not end by itself; `manual` says that an operator set it.
    """

    component: str
    operation: str
    mode: str
    allowed: bool
    manual: bool = False
    who: str = ""
    scope: str = ""
    reason: str = ""
    since: float | None = None
    expires_in: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the settings allow: transactions in intake, outcomes without a block, dead letters and their bytes."""

    intake: int
    unsealed: int
    letters: int
    letter_bytes: int
    slot_interval: float


@dataclass(frozen=True, slots=True)
class Overview:
    """One snapshot. `problem` says why the rest could not be read ("": it could); what was not read is None or empty.

    `restoring` says that the ledger is being restored, `progress` how far that is (None: nobody has begun). `notes` are
    the newest reports of checkpoints, scrubs and restores. `messages` are those that wait in the broker, by queue, and
    empty when it does not tell; `retries_left` is what the fleet's retry budget has. `took` is how long the reading
    took.
    """

    ledger: str
    address: str
    problem: str = ""
    fix: str = ""
    restoring: bool = False
    progress: RestoreProgress | None = None
    state: State | None = None
    waiting: Waiting | None = None
    server: Server | None = None
    workers: list[WorkerStatus] = field(default_factory=list)
    breakers: list[BreakerStatus] = field(default_factory=list)
    modes: SystemStatus | None = None
    gates: list[Gate] = field(default_factory=list)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    limits: Limits | None = None
    unsealable: bool = False
    messages: dict[str, int] = field(default_factory=dict)
    retries_left: float | None = None
    took: float = 0.0

    def gate(self, component: str) -> Gate | None:
        """The gate of what `component` writes; None when it was not read."""
        return next((gate for gate in self.gates if gate.component == component), None)

    def breaker(self, name: str) -> BreakerStatus | None:
        """The breaker called `name`; None when it was never used."""
        return next((breaker for breaker in self.breakers if breaker.name == name), None)

    def consuming(self, queue: str) -> list[WorkerStatus]:
        """The workers that take messages from `queue`."""
        return [worker for worker in self.workers if queue in worker.queues and not worker.waits]

    @property
    def finality_lag(self) -> int | None:
        """Slots between the open one and the newest final one."""
        return None if self.state is None else self.state.slot - self.state.finalized

    @property
    def letters_share(self) -> float:
        """How full the dead letters are; 1 and more is full."""
        if self.waiting is None or self.limits is None:
            return 0.0
        return max(self.waiting.dead / self.limits.letters, self.waiting.dead_bytes / self.limits.letter_bytes)

    @property
    def unsealed(self) -> int:
        """Outcomes that no block in the archive has yet."""
        return 0 if self.state is None else self.state.seq - self.state.finalized_seq
