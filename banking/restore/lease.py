"""The lease on restoring a ledger: whoever holds it restores, and everybody can see how far."""

from __future__ import annotations

import secrets
import threading
import weakref

from banking.errors import LeaseLost, LedgerUnavailable
from banking.ledger.ledger import Ledger
from banking.ledger.scripts import FENCE, RENEW
from recovery.clock import SYSTEM_CLOCK, Clock

#: The next one waits no longer than this for a holder that was killed.
LEASE_SECONDS = 3.0
#: Between two signs of life, and between two tellings of progress.
BEAT_SECONDS, _TELL_EVERY = 0.75, 1.0
#: Without any progress the signs of life end after this time: whoever hangs must not keep the others out for ever.
HANGS_AFTER = 60.0


class RestoreLease:
    """A lease in Redis, kept by signs of life. A holder that is paused too long, hangs, or dies, loses it.

    It only spares duplicate work: whoever lost it and does not know changes nothing that is served.
    """

    def __init__(self, ledger: Ledger, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._ledger = ledger
        self._clock = clock
        self.token = secrets.token_hex(16)
        self.epoch = 0
        self._renewed = 0.0
        self._phase = ""
        self._started = 0.0
        self._moved = 0.0
        self._over = threading.Event()

    def take(self, archived_epoch: int, observed: str) -> int:
        """Fence the ledger and return the new epoch's number; 0 = another holds it, -1 = no longer as `observed`."""
        self.epoch = self._ledger.run(FENCE, [self.token, int(LEASE_SECONDS * 1000), archived_epoch, observed])
        self._ledger.forget_epoch()
        self._renewed = self._moved = self._clock.monotonic()
        if self.epoch > 0:
            beat = threading.Thread(target=_beat, args=(weakref.ref(self), self._over), name="restore-lease")
            beat.daemon = True
            beat.start()
        return self.epoch

    def progress(self, phase: str, done: int, total: int) -> None:
        """Say that `done` of about `total` steps of `phase` are done; renews the lease. Raises LeaseLost.

        Cheap to call often: at most one round trip a second.
        """
        now = self._moved = self._clock.monotonic()
        if phase != self._phase:
            self._phase, self._started = phase, now
        elif now - self._renewed < _TELL_EVERY:
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
            self._over.set()
            raise LeaseLost("another process took the restore over")
        self._renewed = self._moved = self._clock.monotonic()

    def give_up(self) -> None:
        """Let the next one try; nothing happens when it is lost already. Raises LedgerUnavailable."""
        self._over.set()
        self._ledger.run(RENEW, [self.token, 0])

    def beat(self) -> None:
        """One sign of life, unless nothing has moved for long."""
        if self._clock.monotonic() - self._moved > HANGS_AFTER:
            return
        try:
            kept = self._ledger.run(RENEW, [self.token, int(LEASE_SECONDS * 1000)])
        except LedgerUnavailable:  # the next one may come through; whoever restores sees it, too
            return
        if not kept:
            self._over.set()


def _beat(lease: weakref.ref[RestoreLease], over: threading.Event) -> None:
    """Signs of life until it is over, or nobody holds the lease any more."""
    while not over.wait(BEAT_SECONDS) and (held := lease()) is not None:
        held.beat()
        del held
