"""The lease on restoring a ledger: whoever holds it restores, and everybody can see how far."""

from __future__ import annotations

import secrets

from banking.errors import LeaseLost
from banking.ledger.ledger import Ledger
from banking.ledger.scripts import FENCE, RENEW
from recovery.clock import SYSTEM_CLOCK, Clock

LEASE_SECONDS = 10.0
_RENEW_EVERY = 1.0


class RestoreLease:
    """A lease in Redis, kept by telling progress. A holder that is paused too long, or dies, loses it."""

    def __init__(self, ledger: Ledger, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._ledger = ledger
        self._clock = clock
        self.token = secrets.token_hex(16)
        self.epoch = 0
        self._renewed = 0.0
        self._phase = ""
        self._started = 0.0

    def take(self, archived_epoch: int, observed: str) -> int:
        """Fence the ledger and return the new epoch's number; 0 = another holds it, -1 = no longer as `observed`."""
        self.epoch = self._ledger.run(FENCE, [self.token, int(LEASE_SECONDS * 1000), archived_epoch, observed])
        self._ledger.forget_epoch()
        self._renewed = self._clock.monotonic()
        return self.epoch

    def progress(self, phase: str, done: int, total: int) -> None:
        """Say that `done` of about `total` steps of `phase` are done; renews the lease. Raises LeaseLost.

        Cheap to call often: at most one round trip a second.
        """
        now = self._clock.monotonic()
        if phase != self._phase:
            self._phase, self._started = phase, now
        elif now - self._renewed < _RENEW_EVERY:
            return
        elapsed = now - self._started
        left = max(0, total - done) * elapsed / done if done else 0.0
        facts = (
            "phase",
            phase,
            "done",
            done,
            "total",
            max(total, done),
            "epoch",
            self.epoch,
            "seconds_left",
            f"{left:.1f}",
        )
        self.renew(*facts)

    def renew(self, *facts: str | int) -> None:
        """Renew now. Raises LeaseLost."""
        if not self._ledger.run(RENEW, [self.token, int(LEASE_SECONDS * 1000), *facts]):
            raise LeaseLost("another process took the restore over")
        self._renewed = self._clock.monotonic()

    def give_up(self) -> None:
        """Let the next one try; nothing happens when it is lost already. Raises LedgerUnavailable."""
        self._ledger.run(RENEW, [self.token, 0])
