"""What a task under test does and meets: work that fails in turn, a gate, a breaker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Work:
    """What the task does: raises the errors in turn, then returns; counts its runs."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.runs = list(errors), 0

    def __call__(self) -> str:
        self.runs += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


class Gate:
    """Refuses `times` times, then allows."""

    def __init__(self, times: int, retry_after: float = 2.0) -> None:
        self.times, self.retry_after, self.asked = times, retry_after, list[tuple[str, str]]()

    def check(self, component: str, operation: str) -> None:
        self.asked.append((component, operation))
        if len(self.asked) <= self.times:
            raise Closed(self.retry_after)


class Closed(Exception):
    def __init__(self, retry_after: float) -> None:
        super().__init__("closed")
        self.retry_after = retry_after


class Breaker:
    """Open for the first `times` permits; notes what leaves the context."""

    def __init__(self, times: int = 0) -> None:
        self.times, self.permits, self.saw = times, 0, list[type[BaseException] | None]()

    @contextmanager
    def permit(self) -> Iterator[None]:
        self.permits += 1
        if self.permits <= self.times:
            raise Closed(1.0)
        try:
            yield
        except BaseException as error:
            self.saw.append(type(error))
            raise
        self.saw.append(None)
