"""The pulse of a ledger: is it sealed in time, does work wait too long, does Redis' clock run as clocks should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from banking.ledger.ledger import Ledger
from banking.ledger.scripts import PULSE
from recovery.clock import SYSTEM_CLOCK, Clock

#: Seconds that the server's clock may jump without a warning: time synchronisation slews by less.
TOLERANCE = 1.0


@dataclass(frozen=True, slots=True)
class Pulse:
    """What one look found; all but `sealing` are seconds.

    `seal_age` is the time since the newest block was first seen, `backlog_age` how long the oldest queued transaction
    has waited while it could have run, None when none waits. `longest` is the most that any span measured on
    the server's clock can be (None: no bound), because the clock jumped then or an operator held transactions back.
    `clock_back` is how far the server's clock is behind the latest time that was seen on it. `sealing` says that
    a block was made since the last look.
    """

    at: float
    seal_age: float
    backlog_age: float | None
    longest: float | None
    clock_back: float
    sealing: bool

    def bounded(self, age: float | None) -> float | None:
        """`age` (seconds on the server's clock), as far as it can be true."""
        if age is None or self.longest is None:
            return age
        return min(age, self.longest)


class PulseTaker:
    """Takes the pulse of `ledger`, about once a second. Any number of processes may.

    `server_time` (milliseconds) replaces the server's clock in tests.
    """

    def __init__(
        self, ledger: Ledger, *, clock: Clock = SYSTEM_CLOCK, server_time: Callable[[], int] | None = None
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._server_time = server_time
        self._watch: tuple[float, float, float] | None = None

    def take(self, *, held: bool = False) -> Pulse:
        """Look now; `held` says that an operator holds transactions back at present.

        Raises LedgerUnavailable, LedgerMissing, LedgerRestoring, StaleEpoch.
        """
        now = "" if self._server_time is None else str(self._server_time())
        jumped = self._jumped()
        found = self._ledger.run(PULSE, [self._ledger.epoch, now, int(jumped), int(held), int(TOLERANCE * 1000)])
        at, seal_age, backlog_age, longest, clock_back, sealing = map(int, found)
        return Pulse(
            at=at / 1000,
            seal_age=seal_age / 1000,
            backlog_age=None if backlog_age < 0 else backlog_age / 1000,
            longest=None if longest < 0 else longest / 1000,
            clock_back=clock_back / 1000,
            sealing=bool(sealing),
        )

    def _jumped(self) -> bool:
        """Whether the server's clock and this process's monotonic one went different ways since the last look."""
        before = self._clock.monotonic()
        server = self._read_server()
        after = self._clock.monotonic()
        last, self._watch = self._watch, (before, server, after)
        if last is None:
            return False
        passed = server - last[1]
        shortest, longest = before - last[2], after - last[0]
        return not shortest - TOLERANCE <= passed <= longest + TOLERANCE

    def _read_server(self) -> float:
        if self._server_time is not None:
            return self._server_time() / 1000
        return self._ledger.server_ms() / 1000
