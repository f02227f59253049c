"""What a caller gets instead of an error while the breaker is open."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from recovery.breaker.errors import CircuitOpenError
from recovery.clock import SYSTEM_CLOCK, Clock


class _NoFallback:
    def __repr__(self) -> str:
        return "NO_FALLBACK"


#: Refused calls raise CircuitOpenError. (None is a fallback value like any other.)
NO_FALLBACK: Final = _NoFallback()


class LastGood:
    """A fallback: the last answer that the same function gave to the same arguments.

    Keeps the newest `max_entries` answers, none older than `max_age` seconds (None: any age). Calls whose arguments
    cannot be hashed, or that were never answered, raise CircuitOpenError as if there were no fallback.
    """

    def __init__(self, max_entries: int = 64, max_age: float | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._max_entries = max_entries
        self._max_age = max_age
        self._clock = clock
        self._answers: OrderedDict[Any, tuple[float, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], answer: Any) -> None:
        """Keep `answer`, if it can be found again."""
        question = self._question(fn, args, kwargs)
        if question is None:
            return
        with self._lock:
            self._answers[question] = (self._clock.monotonic(), answer)
            self._answers.move_to_end(question)
            while len(self._answers) > self._max_entries:
                self._answers.popitem(last=False)

    def recall(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], refused: CircuitOpenError
    ) -> Any:
        """The last good answer. Raises `refused` when there is none."""
        question = self._question(fn, args, kwargs)
        with self._lock:
            known = None if question is None else self._answers.get(question)
        if known is None or (self._max_age is not None and self._clock.monotonic() - known[0] > self._max_age):
            raise refused
        return known[1]

    @staticmethod
    def _question(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        question = (fn, args, tuple(sorted(kwargs.items())))
        try:
            hash(question)
        except TypeError:
            return None
        return question
