"""Signals that end an instance: the first ends the work, every further one hurries the clean-up."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

#: A terminal that closes sends SIGHUP.
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(KeyboardInterrupt):
    """Raised in the main thread by the first signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class StopSignals:
    """While entered (main thread only): the first signal raises StopRequested, later ones only set `hurry`.

    Python drops an exception that is raised inside a finalizer (`__del__`), so whoever waits asks `check` as well.
    """

    def __init__(self) -> None:
        self.hurry = threading.Event()
        self._raise = True
        self._requested: int | None = None
        self._before: dict[int, Any] = {}

    def quiet(self) -> None:
        """From here on a signal interrupts nothing: cleaning up has begun."""
        self._raise = False

    def check(self) -> None:
        """Raise StopRequested again when a signal came and its exception was lost on the way."""
        if self._requested is not None:
            raise StopRequested(self._requested)

    def __enter__(self) -> Self:
        for number in NUMBERS:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._raise:
            self._raise = False
            self._requested = number
            raise StopRequested(number)
        self.hurry.set()
