"""The measurements that need many processes: how a trip spreads, and how many probes are in flight."""

from __future__ import annotations

import functools
import logging
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import redis.connection

from benchmarks.breaker_contenders import CONTENDERS, Contender

_spawn = multiprocessing.get_context("spawn")


def _fail() -> None:
    raise OSError("ill")


def _healthy() -> None:
    return None


def _attempt(contender: Contender, fn: Any) -> bool:
    """True when the call was let through."""
    try:
        contender.call(fn)
    except contender.refusals:
        return False
    except OSError:
        pass
    return True


def _until_refused(contender: Contender, timeout: float) -> float:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if not _attempt(contender, _healthy):
            return time.monotonic()
        time.sleep(0.002)
    return float("inf")


def _trip(contender: Contender) -> float:
    tripped = time.monotonic()
    for _ in range(50):
        if not _attempt(contender, _fail):
            break
        tripped = time.monotonic()
    return tripped


def _probe(contender: Contender, seconds: float, hold: float) -> list[tuple[float, float]]:
    spans: list[tuple[float, float]] = []

    def held() -> None:
        start = time.monotonic()
        time.sleep(hold)
        spans.append((start, time.monotonic()))
        raise OSError("still ill")

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not _attempt(contender, held):
            time.sleep(0.001)
    return spans


def _paced(contender: Contender, seconds: float, pause: float, sent: list[int]) -> tuple[int, int]:
    """Calls made and round trips sent, pausing between the calls (0: not at all)."""
    calls, before, end = 0, sent[0], time.monotonic() + seconds
    while time.monotonic() < end:
        contender.call(_healthy)
        calls += 1
        if pause:
            time.sleep(pause)
    return calls, sent[0] - before


def _count_round_trips() -> list[int]:
    """From now on the one number in the list counts what this process sends to Redis, from whichever thread."""
    sent = [0]
    original = redis.connection.AbstractConnection.send_packed_command

    @functools.wraps(original)
    def counting(*args: Any, **kwargs: Any) -> Any:
        sent[0] += 1
        return original(*args, **kwargs)  # type: ignore[no-untyped-call]

    setattr(redis.connection.AbstractConnection, "send_packed_command", counting)  # noqa: B010
    return sent


def _serve(line: Connection, url: str) -> None:
    logging.disable(logging.CRITICAL)
    contender: Contender | None = None
    sent = _count_round_trips()
    while True:
        try:
            command, *args = line.recv()
        except EOFError:
            return
        if command == "make":
            kind, name, open_seconds = args
            contender = CONTENDERS[kind](url, name, open_seconds)
            line.send(_attempt(contender, _healthy))
            continue
        assert contender is not None
        commands: dict[str, Callable[..., Any]] = {
            "until": _until_refused,
            "trip": _trip,
            "probe": _probe,
            "paced": functools.partial(_paced, sent=sent),
        }
        line.send(commands[command](contender, *args))


class Crew:
    """`size` processes that do as they are told."""

    def __init__(self, size: int, url: str) -> None:
        self.lines: list[Connection] = []
        self.processes: list[Any] = []
        for _ in range(size):
            ours, theirs = _spawn.Pipe()
            process = _spawn.Process(target=_serve, args=(theirs, url), daemon=True)
            process.start()
            theirs.close()
            self.lines.append(ours)
            self.processes.append(process)

    def ask_all(self, *command: Any) -> list[Any]:
        for line in self.lines:
            line.send(command)
        return [line.recv() for line in self.lines]

    def close(self) -> None:
        for line, process in zip(self.lines, self.processes, strict=True):
            line.close()
            process.kill()
            process.join()


def round_trips(url: str, seconds: float = 2.0) -> dict[str, dict[str, float]]:
    """Round trips per call while closed, at about 100 and 1,000 calls a second and as fast as can be."""
    found: dict[str, dict[str, float]] = {}
    for name in CONTENDERS:
        crew = Crew(1, url)
        try:
            crew.ask_all("make", name, "paced", 60.0)
            found[name] = {}
            for pause in (0.01, 0.001, 0.0):
                ((calls, sent),) = crew.ask_all("paced", seconds, pause)
                found[name][f"{round(calls / seconds)}/s"] = sent / calls
        finally:
            crew.close()
    return found


def propagation(url: str, rounds: int, size: int = 8) -> dict[str, list[float]]:
    """Seconds from the report that tripped it to the first refusal in each other process, sorted, by contender."""
    crew = Crew(size, url)
    delays: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    try:
        for number in range(rounds):
            for name in CONTENDERS:  # interleaved, so that a disturbance hits all alike
                crew.ask_all("make", name, f"spread{number}", 60.0)
                for line in crew.lines[1:]:
                    line.send(("until", 10.0))
                time.sleep(0.15)
                crew.lines[0].send(("trip",))
                tripped = crew.lines[0].recv()
                delays[name] += [line.recv() - tripped for line in crew.lines[1:]]
    finally:
        crew.close()
    return {name: sorted(values) for name, values in delays.items()}


def probes_in_flight(url: str, rounds: int, size: int = 16, longest: float = 300.0) -> dict[str, dict[str, int]]:
    """Rounds of half-open seen and the most probes that ran at the same time, by contender."""
    found: dict[str, dict[str, int]] = {}
    for name in [name for name in CONTENDERS if "default" not in name]:
        crew = Crew(size, url)
        try:
            crew.ask_all("make", name, "probes", 0.02)
            crew.lines[0].send(("trip",))
            crew.lines[0].recv()
            time.sleep(0.3)  # every process knows it open: what passes from here on is a probe
            spans: list[tuple[float, float]] = []
            start = time.monotonic()
            while len(_clusters(spans)) < rounds and time.monotonic() - start < longest:
                spans += [span for part in crew.ask_all("probe", 5.0, 0.005) for span in part]
            found[name] = {"rounds": len(_clusters(spans)), "most_in_flight": max(_clusters(spans), default=0)}
        finally:
            crew.close()
    return found


def _clusters(spans: list[tuple[float, float]]) -> list[int]:
    """For each stretch of time in which probes ran, the most that ran at once."""
    edges = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    running, most, clusters = 0, 0, []
    for _, step in edges:
        running += step
        most = max(most, running)
        if running == 0:
            clusters.append(most)
            most = 0
    return clusters
