"""The peers' turns: the trivial job, and the same job as ours with a worker killed half-way."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any, cast

import psutil

from benchmarks.contenders import Shape, Turn, contender
from benchmarks.figures import figures
from benchmarks.harness import Bench, bench
from benchmarks.peers import DONE, PEERS, worker_command
from benchmarks.producer import Producer

#: Jobs of a turn; a framework that forks for each job gets fewer.
_COUNT, _FEW = 2_000, 100
_FORKS = ("on_rq",)
#: streaq keeps its scripts in Redis as functions, which came with Redis 7.
_NEEDS_REDIS_7 = ("on_streaq",)
#: Transfers of the same job, and seconds without another one after which the rest counts as lost.
_TRANSFERS, _FEW_TRANSFERS, _PATIENCE = 3_000, 100, 20.0


class PeerTurns:
    """Turns of the trivial job, one peer after the other, whenever there is time for some."""

    def __init__(self, names: tuple[str, ...] = tuple(PEERS)) -> None:
        self._turns: dict[str, list[Turn]] = {}
        self._skipped: dict[str, str] = {}
        self._order: Iterator[str] = itertools.cycle(names)

    def play(self, count: int) -> None:
        """The next `count` of them."""
        for name in itertools.islice(self._order, count):
            try:
                self._play(name)
            except (TimeoutError, RuntimeError) as error:
                # Its failure is a finding, and no reason to lose the figures of the others.
                self._skipped[PEERS[name]] = f"failed: {error}"

    def _play(self, name: str) -> None:
        with contender(Shape(name)) as one:
            if reason := _unfit(name, one.bench):
                self._skipped[PEERS[name]] = reason
                return
            jobs = _FEW if name in _FORKS else _COUNT
            one.turn(jobs // 20)
            self._turns.setdefault(name, []).append(one.turn(jobs))

    def result(self) -> dict[str, Any]:
        """Figures by framework, or why it was left out."""
        found: dict[str, Any] = {
            PEERS[name]: {"version": version(PEERS[name]), "turns": len(turns), **figures(turns)}
            for name, turns in self._turns.items()
        }
        return found | {name: {"left_out": reason} for name, reason in self._skipped.items()}


def _unfit(name: str, bench: Bench) -> str:
    running = str(bench.client.info("server")["redis_version"])
    if name in _NEEDS_REDIS_7 and int(running.partition(".")[0]) < 7:
        return f"needs Redis 7, and this is {running}"
    return ""


def exactly_once() -> dict[str, Any]:
    """Signed transfers through each framework and through ours, one of two workers killed half-way.

    `late` are those without their effect when nothing has moved for 20 s: lost, or redelivered only after a timeout
    of minutes. `again` counts second runs of a job, which the job's own script made harmless; `seconds` is from the
    kill to the last effect.
    """
    found: dict[str, Any] = {"trunkline": _killed("batch")}
    for name in PEERS:
        found[PEERS[name]] = _killed(name)
    return found


def _killed(name: str) -> dict[str, Any]:
    transfers = _FEW_TRANSFERS if name in _FORKS else _TRANSFERS
    with bench() as it:
        if reason := _unfit(name, it):
            return {"left_out": reason}
        ours = name == "batch"
        if ours:
            it.make_ledger(200)
            it.upkeep()
        start = (lambda: it.worker("workers.app", "transactions", processes=1)) if ours else (lambda: _start(it, name))
        victim = start()
        producer = Producer(it, name, 0, accounts=200)
        producer.order(make=transfers)
        producer.answer()
        producer.order(send=True)
        producer.answer()
        _until(lambda: _applied(it, ours) >= transfers // 2)
        _kill(victim.pid)
        killed = time.monotonic()
        start()
        last, at = _applied(it, ours), time.monotonic()
        while last < transfers and time.monotonic() - at < _PATIENCE:
            time.sleep(0.05)
            if (now := _applied(it, ours)) != last:
                last, at = now, time.monotonic()
        again = 0 if ours else int(cast(Any, it.client.get("bench:again")) or 0)
        return {"transfers": transfers, "late": transfers - last, "again": again, "seconds": round(at - killed, 1)}


def _start(it: Bench, name: str) -> Any:
    return it.process(worker_command(name, it.server.url), f"peer{time.monotonic_ns()}", role="worker")


def _applied(it: Bench, ours: bool) -> int:
    if not ours:
        return int(cast(Any, it.client.get(DONE)) or 0)
    state = it.ledger.state()
    return state.processed + state.failed


def _until(condition: Callable[[], bool], timeout: float = 120.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the first half was not done in time")
        time.sleep(0.005)


def _kill(pid: int) -> None:
    """SIGKILL a worker with all it forked, as when its host is gone."""
    root = psutil.Process(pid)
    for process in [root, *root.children(recursive=True)]:
        os.kill(process.pid, signal.SIGKILL)
    root.wait()
