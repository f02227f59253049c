"""The thread that watches: it reads a snapshot every second, and the event loop only ever takes the newest one."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass

from config.errors import ConfigurationError
from recovery.clock import SYSTEM_CLOCK, Clock
from workers.overview.gathering import Gatherer
from workers.overview.model import Overview

logger = logging.getLogger(__name__)

#: Seconds between two snapshots, and how many points a chart has: ten minutes.
INTERVAL = 1.0
POINTS = 600


@dataclass(frozen=True, slots=True)
class Point:
    """One second of a chart: transactions a second by outcome, and what waited. `at` is Unix seconds."""

    at: float
    ok: float
    failed: float
    refused: float
    accepted: float
    backlog: int
    parked: int


@dataclass(frozen=True, slots=True)
class Sample:
    """The newest snapshot and how old it is, in seconds; older than a few means that the thread hangs."""

    overview: Overview
    age: float
    points: list[Point]


class Sampler:
    """Keeps the newest snapshot and ten minutes of counts. `latest` never waits."""

    def __init__(self, gatherer: Gatherer, *, ledger: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._gatherer = gatherer
        self._clock = clock
        self._points: deque[Point] = deque(maxlen=POINTS)
        self._overview = Overview(ledger, "", problem="nothing was read yet", fix="Wait a second.")
        self._taken_at = clock.monotonic()
        self._before: tuple[float, Overview] | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()

    def start(self) -> None:
        """Begin to watch, in a daemon thread."""
        threading.Thread(target=self._run, name="trunkline-sampler", daemon=True).start()

    def soon(self) -> None:
        """Take the next snapshot at once: something was changed."""
        self._wake.set()

    def latest(self, points: int = POINTS) -> Sample:
        """The newest snapshot, with the newest `points` of the charts."""
        with self._lock:
            kept = list(self._points)[-points:] if points else []
            return Sample(self._overview, self._clock.monotonic() - self._taken_at, kept)

    def sample(self) -> None:
        """Take one snapshot now."""
        began = self._clock.monotonic()
        try:
            overview = self._gatherer.gather()
        except ConfigurationError as error:
            overview = Overview(
                "", "", problem=str(error), fix="Correct the settings of this Flower, and start it anew."
            )
        with self._lock:
            self._overview, self._taken_at = overview, self._clock.monotonic()
            point = self._point(began, overview)
            if point is not None:
                self._points.append(point)

    def _run(self) -> None:
        while True:
            try:
                self.sample()
            except Exception:
                logger.exception("The snapshot of the tab Resilience could not be taken")
            self._wake.wait(INTERVAL)
            self._wake.clear()

    def _point(self, now: float, overview: Overview) -> Point | None:
        before, state, waiting = self._before, overview.state, overview.waiting
        if state is None or waiting is None:
            return None
        self._before = now, overview
        if before is None or before[1].state is None or before[1].state.epoch != state.epoch:
            # A restore begins its counts anew.
            return None
        passed, then = now - before[0], before[1].state
        if passed <= 0:
            return None
        return Point(
            at=waiting.at,
            ok=max(0, state.processed - then.processed) / passed,
            failed=max(0, state.failed - then.failed) / passed,
            refused=max(0, state.refused - then.refused) / passed,
            accepted=max(0, state.accepted - then.accepted) / passed,
            backlog=waiting.backlog,
            parked=waiting.parked,
        )
