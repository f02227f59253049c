"""Reading the snapshot: a handful of bounded round trips, and no error leaves here.

Whoever asks is told what is wrong instead: the page that says why work has stopped must show when Redis is down.
"""

from __future__ import annotations

import logging
from typing import Any

import redis

from banking.errors import LedgerMissing, LedgerRestoring, LedgerUnavailable, NewerLayout, StaleEpoch
from banking.from_settings import letter_limits
from banking.ledger import observing
from banking.ledger.ledger import Ledger
from banking.ledger.observing import restore_progress
from banking.ledger.recovery_parts import retry_budget
from banking.restore.consistency import is_unsealable
from config.addresses import masked, refusal
from config.settings import Settings
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.connections import connect
from recovery.degradation import DegradationManager, OperationType
from recovery.degradation.errors import ModesUnavailable
from tasks.modes import open_modes
from tasks.runtime import TRANSACTION_BUDGET
from workers.overview.broker_depth import BrokerDepth
from workers.overview.model import Gate, Limits, Overview

logger = logging.getLogger(__name__)

#: Seconds that one reply of Redis may take before the snapshot says that Redis does not answer.
PATIENCE = 1.0
#: What writes, by component: where work stops when a mode refuses it.
WRITERS = ("transactions", "intake")

_UNREACHABLE = (
    "Start it again, or see its log; `trunkline up` starts the embedded one. Workers wait and go on by themselves, and "
    "nothing that was accepted is lost."
)


class Gatherer:
    """Reads snapshots of the settings' ledger (or by `ledger`, with its own waits), from one thread at a time.

    What waits in the broker is read by `broker`, and is not without one: whoever looks once has not long to wait.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        ledger: Ledger | None = None,
        broker: BrokerDepth | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._ledger = ledger
        self._said = False
        self._modes: DegradationManager | None = None
        self._broker = broker

    @property
    def ledger(self) -> Ledger:
        """The ledger that is watched, behind a client with short waits. Raises ConfigurationError."""
        if self._ledger is None:
            self._ledger = Ledger(connect(self._settings.ledger_url(), timeout=PATIENCE), self._settings.ledger.name)
        return self._ledger

    @property
    def modes(self) -> DegradationManager:
        """The modes of that ledger."""
        if self._modes is None:
            self._modes = open_modes(self._settings)
        return self._modes

    def gather(self) -> Overview:
        """The snapshot now; what is wrong is part of it. Raises ConfigurationError when no Redis is known."""
        began = self._clock.monotonic()
        facts = self._known()
        try:
            self._read(facts)
        except LedgerMissing as error:
            facts |= {"problem": str(error), "fix": "A running worker restores it from the archive, if there is one."}
        except NewerLayout as error:
            facts |= {"problem": str(error), "fix": "Update this host to the newer version."}
        except (LedgerUnavailable, redis.RedisError, ModesUnavailable) as error:
            cause = error.__cause__ if isinstance(error.__cause__, redis.RedisError) else error
            told = refusal(cause) or f"Redis at {facts['address']} does not answer: {_plain(cause)}"
            facts |= {"problem": told, "fix": _UNREACHABLE}
        return Overview(**facts, took=self._clock.monotonic() - began)

    def read(self) -> Overview:
        """The snapshot now. Raises LedgerMissing, LedgerUnavailable, NewerLayout, ConfigurationError."""
        facts = self._known()
        self._read(facts)
        return Overview(**facts)

    def _known(self) -> dict[str, Any]:
        address = masked(self._settings.ledger_url())
        return {"ledger": self._settings.ledger.name, "address": address, "limits": self._limits()}

    def _read(self, facts: dict[str, Any]) -> None:
        ledger = self.ledger
        facts["server"] = self._server(ledger)
        facts["workers"] = observing.live_workers(ledger)
        facts["breakers"] = observing.breakers(ledger)
        facts["modes"] = self.modes.get_system_status()
        facts["notes"] = observing.read_notes(ledger)
        facts["waiting"] = observing.waiting(ledger)
        facts["retries_left"] = ledger.call(retry_budget(ledger, TRANSACTION_BUDGET).available)
        facts["messages"] = {} if self._broker is None else self._broker.read()
        facts["gates"] = [self._gate(component, facts["waiting"].at) for component in WRITERS]
        try:
            facts["state"] = self._state(ledger)
            facts["unsealable"] = is_unsealable(facts["state"])
        except LedgerRestoring:
            facts["restoring"], facts["progress"] = True, restore_progress(ledger)

    def _state(self, ledger: Ledger) -> Any:
        try:
            return ledger.state()
        except StaleEpoch:
            # Restored meanwhile; the ledger looks the new epoch up.
            return ledger.state()

    def _server(self, ledger: Ledger) -> observing.Server | None:
        try:
            return observing.server(ledger)
        except redis.ResponseError as error:
            # An ACL may well withhold INFO from us, which is for people only.
            if not self._said:
                logger.warning("Redis tells nothing of itself (%s): its memory is not shown", error)
            self._said = True
            return None

    def _gate(self, component: str, now: float) -> Gate:
        found = self.modes.explain(component, OperationType.WRITE)
        decides = found.deciding
        if decides is None:
            return Gate(component, "WRITE", found.mode.name, found.allowed, text=str(found))
        notes = decides.notes
        return Gate(
            component=component,
            operation="WRITE",
            mode=found.mode.name,
            allowed=found.allowed,
            manual=decides.manual,
            who=str(notes.get("actor") or "somebody") if decides.manual else f"rule {decides.rule}",
            scope=str(decides.scope),
            reason=str(notes.get("reason") or ""),
            since=max(0.0, now - decides.changed_ms / 1000) if decides.changed_ms else None,
            expires_in=found.expires_in,
            text=str(found),
        )

    def _limits(self) -> Limits:
        settings, letters = self._settings, letter_limits(self._settings)
        return Limits(
            intake=settings.intake.limit,
            unsealed=settings.intake.unsealed_limit,
            letters=letters.letters,
            letter_bytes=letters.bytes,
            slot_interval=settings.blocks.slot_interval,
        )


def _plain(error: BaseException) -> str:
    text = str(error).rstrip(".")
    return text or type(error).__name__
