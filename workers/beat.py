"""Beat's scheduler: by a clock that cannot be set, and never more messages than workers take."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from celery.beat import ScheduleEntry, Scheduler
from celery.schedules import maybe_schedule
from kombu.exceptions import ChannelError

from banking.errors import LedgerUnavailable
from banking.ledger.ledger import Ledger
from banking.ledger.observing import note_beat
from config.queues import MAINTENANCE, waiting_messages
from config.settings import get_settings
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.connections import connect

logger = logging.getLogger(__name__)

#: Maintenance messages that may wait in the queue. Each does whatever is due, so more of them would do no more; and
#: since their number is bounded here none needs an expiry, which would compare the clocks of two hosts.
MAX_WAITING = 50

_STARTED = datetime.fromtimestamp(SYSTEM_CLOCK.time(), UTC)
_STARTED_MONOTONIC = SYSTEM_CLOCK.monotonic()


def steady_now() -> datetime:
    """The time by the clock of this host as it ran when the process started, whatever it was set to since."""
    return _STARTED + timedelta(seconds=SYSTEM_CLOCK.monotonic() - _STARTED_MONOTONIC)


class SteadyEntry(ScheduleEntry):
    """An entry that is due by monotonic time: a clock set back an hour must not silence beat for an hour."""

    def __init__(self, **options: Any) -> None:
        schedule: Any = maybe_schedule(options["schedule"], options.get("relative", False), app=options.get("app"))
        schedule.nowfun = steady_now
        super().__init__(**{**options, "schedule": schedule})


class SignOfLife:
    """Keeps in the ledger that beat runs: once a second, and never at the cost of what is due."""

    #: Seconds between two signs, that Redis may take for one, and for which it is left alone when it did not.
    EVERY, PATIENCE, REST = 1.0, 0.5, 5.0

    def __init__(self, ledger: Ledger, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._ledger = ledger
        self._clock = clock
        self._next = float("-inf")

    def leave(self) -> None:
        """Leave one if it is time."""
        now = self._clock.monotonic()
        if now < self._next:
            return
        self._next = now + self.EVERY
        try:
            note_beat(self._ledger)
        except LedgerUnavailable as error:
            logger.warning("beat: the ledger does not hear that it runs: %s", error)
            self._next = self._clock.monotonic() + self.REST


class BoundedScheduler(Scheduler):
    """Sends nothing while `MAX_WAITING` messages wait for a worker."""

    Entry = SteadyEntry

    def __init__(self, *args: Any, **options: Any) -> None:
        self._channel: Any = None
        self._full = False
        settings = get_settings()
        client = connect(settings.ledger_url(), timeout=SignOfLife.PATIENCE)
        self._sign = SignOfLife(Ledger(client, settings.ledger.name))
        super().__init__(*args, **options)

    def tick(self, *args: Any, **options: Any) -> Any:
        """Send what is due, and leave a sign of life."""
        found = super().tick(*args, **options)
        self._sign.leave()
        return found

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send the entry's task, unless too many wait."""
        full = self._waiting() >= MAX_WAITING
        if full != self._full:
            self._full = full
            state = "no worker takes maintenance; sending no more" if full else "maintenance is taken again"
            logger.warning("beat: %s (%d messages wait)", state, self._waiting())
        if not full:
            super().apply_entry(entry, producer)

    def _waiting(self) -> int:
        """How many messages wait; 0 when that cannot be told: then sending shows what is wrong."""
        try:
            if self._channel is None:
                self._channel = self.connection.channel()
            return waiting_messages(self._channel, MAINTENANCE)
        except ChannelError:
            # There is no such queue yet. An AMQP broker has closed the channel to say so, Redis has not.
            if not getattr(self._channel, "is_open", True):
                self._channel = None
            return 0
        except self.connection.recoverable_connection_errors as error:
            logger.warning("beat: cannot count the waiting messages: %s", error)
            self._channel = None
            return 0
