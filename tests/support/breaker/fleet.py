"""Real processes that share a breaker, driven over pipes: each runs the commands it is sent, one after another."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from recovery.breaker import CircuitBreaker, CircuitBreakerConfig, CircuitOpenError

_spawn = multiprocessing.get_context("spawn")


def _fail() -> None:
    raise OSError("ill")


class Worker:
    """What runs in the other process. Every public method is a command."""

    def __init__(self, url: str, config: CircuitBreakerConfig, clock_offset: float) -> None:
        real = time.time
        time.time = lambda: real() + clock_offset
        self._breaker = CircuitBreaker("dep", config, url)

    def state(self) -> str:
        return self._breaker.state().value

    def generation(self) -> int:
        return self._breaker.snapshot().generation

    def call(self, good: bool = True) -> str:
        """`ok`, `failed` or `refused`."""
        try:
            self._breaker.call(_fail if not good else _nothing)
        except OSError:
            return "failed"
        except CircuitOpenError:
            return "refused"
        return "ok"

    def slowest_call(self, seconds: float, good: bool) -> float:
        """Call without pause for `seconds`; the longest call, in seconds. Anything but a refusal is an error."""
        slowest, end = 0.0, time.monotonic() + seconds
        while time.monotonic() < end:
            started = time.thread_time(), time.monotonic()
            self.call(good)
            slowest = max(slowest, time.monotonic() - started[1])
            time.sleep(0.002)
        return slowest

    def call_until_refused(self, timeout: float) -> float:
        """Call the healthy dependency again and again; the (system-wide) monotonic time of the first refusal."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.call() == "refused":
                return time.monotonic()
            time.sleep(0.002)
        return float("inf")

    def probe_rounds(self, seconds: float, hold: float) -> list[tuple[float, float]]:
        """Whenever a call is let through, hold it; the spans (monotonic) of those that were probes, failed."""
        spans, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                with self._breaker.permit():
                    entered = time.monotonic()
                    time.sleep(hold)
                    spans.append((entered, time.monotonic()))
                    raise OSError("still ill")
            except (OSError, CircuitOpenError):
                pass
        return spans

    def trip(self) -> float:
        """Fail until refused; the (system-wide) monotonic time of the report that opened it."""
        while self.call(good=False) == "failed":
            tripped = time.monotonic()
        return tripped

    def hold(self) -> str:
        """Begin a call and stay in it until `fail_held` or death."""
        self._permit = self._breaker.permit()
        try:
            self._permit.__enter__()
        except CircuitOpenError:
            return "refused"
        return "holding"

    def fail_held(self) -> str:
        """The call that `hold` began fails."""
        error = OSError("late")
        self._permit.__exit__(OSError, error, None)
        return "failed"


def _nothing() -> None:
    return None


def _serve(line: Connection, url: str, config: CircuitBreakerConfig, clock_offset: float) -> None:
    worker = Worker(url, config, clock_offset)
    while True:
        try:
            command, args = line.recv()
        except EOFError:
            return
        line.send(getattr(worker, command)(*args))


class Fleet:
    """`size` processes; `ask` sends one of them a command, `ask_all` all of them at once."""

    def __init__(
        self, size: int, url: str, config: CircuitBreakerConfig, clock_offsets: tuple[float, ...] = ()
    ) -> None:
        self.processes: list[Any] = []
        self.lines: list[Connection] = []
        for number in range(size):
            ours, theirs = _spawn.Pipe()
            offset = clock_offsets[number] if number < len(clock_offsets) else 0.0
            process = _spawn.Process(target=_serve, args=(theirs, url, config, offset), daemon=True)
            process.start()
            theirs.close()
            self.processes.append(process)
            self.lines.append(ours)
        self.ask_all("call")

    def send(self, who: int, command: str, *args: Any) -> None:
        self.lines[who].send((command, args))

    def receive(self, who: int, timeout: float = 60.0) -> Any:
        if not self.lines[who].poll(timeout):
            raise AssertionError(f"process {who} did not answer in {timeout:g} s")
        return self.lines[who].recv()

    def ask(self, who: int, command: str, *args: Any) -> Any:
        self.send(who, command, *args)
        return self.receive(who)

    def ask_all(self, command: str, *args: Any) -> list[Any]:
        for who in range(len(self.lines)):
            self.send(who, command, *args)
        return [self.receive(who) for who in range(len(self.lines))]

    def kill(self, who: int) -> None:
        """SIGKILL."""
        self.processes[who].kill()
        self.processes[who].join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process, line in zip(self.processes, self.lines, strict=True):
            line.close()
            process.kill()
            process.join()


def most_at_once(spans: list[tuple[float, float]]) -> int:
    """The largest number of spans that overlap."""
    edges = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    count = most = 0
    for _, step in edges:
        count += step
        most = max(most, count)
    return most
