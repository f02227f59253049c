"""What is measured against each other: bare Celery, one transaction a message, batches, a hot account.

Each has a Redis, workers and producers of its own that stay up for the whole run, so that they can take turns; those
whose turn it is not are idle. A turn is measured from the first send to the last outcome.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from banking.blocks.sealer import Sealer
from banking.from_settings import open_blocks
from benchmarks.accounting import cpu_seconds
from benchmarks.harness import Bench, bench
from benchmarks.peers import DONE, peer, worker_command
from benchmarks.producer import Producer

_SCRIPTS = ("evalsha", "eval", "fcall")
#: Seconds between two looks at how far it is: a look costs Redis some tens of microseconds.
_LOOK = 0.02
#: Seconds without any progress after which a turn is given up.
_STALLED = 60.0


@dataclass(frozen=True, slots=True)
class Shape:
    """One contender. `kind` is bare, single, batch, or a module of `benchmarks.peers`.

    `hot` is the share of transactions that one payer pays. `workers` are Celery workers of one process each, as
    `trunkline up --workers` starts them; bare Celery gets one worker of as many processes, which is how Celery is
    scaled and no slower. `upkeep` is sealing, checkpoints, pruning.
    """

    kind: str
    workers: int = 2
    accounts: int = 1_000
    hot: float = 0.0
    payments: int = 1
    producers: int = 1
    upkeep: bool = True
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """One measured turn: what it took, for each role and in Redis, divided by `count` where the name says so."""

    count: int
    seconds: float
    #: Role to microseconds of CPU for each transaction (or task).
    cpu_us: dict[str, float]
    #: What Redis spent within commands; its CPU time above has its sockets and its log on disk as well.
    commands_us: float
    script_calls: int

    @property
    def per_second(self) -> float:
        return self.count / self.seconds

    @property
    def total_us(self) -> float:
        return sum(self.cpu_us.values())

    @property
    def served_us(self) -> float:
        """What the workers and Redis spend: neither the producer nor what seals and checkpoints."""
        return sum(self.cpu_us[role] for role in ("redis", "worker parent", "pool child"))


class Contender:
    """A shape at work on a bench."""

    def __init__(self, bench: Bench, shape: Shape) -> None:
        self.bench = bench
        self.shape = shape
        self._seal: Callable[[], Any] = lambda: None
        if shape.kind == "bare":
            bench.worker("benchmarks.bare", "bare", processes=shape.workers)
        elif self._is_pipeline():
            self._start_pipeline()
        else:
            self._start_peer()
        bench.pids["redis"] = [cast(int, bench.server.pid)]
        transfers = {} if not self._is_pipeline() else {n: getattr(shape, n) for n in ("accounts", "hot", "payments")}
        self._producers = [
            Producer(bench, shape.kind, number, **transfers, **({"first": 1 + number * 10**8} if transfers else {}))
            for number in range(shape.producers)
        ]

    def _is_pipeline(self) -> bool:
        return self.shape.kind in ("single", "batch")

    def _start_peer(self) -> None:
        for number in range(peer(self.shape.kind).PROCESSES):
            command = worker_command(self.shape.kind, self.bench.server.url)
            self.bench.process(command, f"peer{number}", role="worker")

    def _start_pipeline(self) -> None:
        self.bench.make_ledger(self.shape.accounts)
        for _ in range(self.shape.workers):
            self.bench.worker("workers.app", "transactions", processes=1)
        if self.shape.upkeep:
            self.bench.upkeep()
        else:
            sealer = Sealer(self.bench.ledger, open_blocks(self.bench.settings))
            self._seal = sealer.seal

    def done(self) -> int:
        """How many jobs have their end by now."""
        if not self._is_pipeline():
            return int(cast(Any, self.bench.client.get(DONE)) or 0)
        state = self.bench.ledger.state()
        return state.processed + state.failed

    def prepare(self, count: int) -> None:
        """Have `count` jobs made, which costs the turn nothing."""
        share = count // len(self._producers)
        for producer in self._producers:
            producer.order(make=share)
        for producer in self._producers:
            producer.answer()

    def offer(self, count: int) -> None:
        """Make and send `count` jobs; returns once they are sent."""
        self.prepare(count)
        for producer in self._producers:
            producer.order(send=True)
        for producer in self._producers:
            producer.answer()

    def turn(self, count: int) -> Turn:
        """Send `count` jobs and wait for the end of them all. Raises TimeoutError, RuntimeError."""
        count -= count % len(self._producers)
        self._seal()
        self.prepare(count)
        before, cpu = self.done(), cpu_seconds(self.bench.pids)
        self.bench.client.config_resetstat()
        began = time.monotonic()
        for producer in self._producers:
            producer.order(send=True)
        self._wait(before + count)
        seconds = time.monotonic() - began
        for producer in self._producers:
            producer.answer()
        if self._is_pipeline() and self.shape.upkeep:
            self._wait_final()
        commands = self.bench.client.info("commandstats")
        used = {role: value - cpu.get(role, 0.0) for role, value in cpu_seconds(self.bench.pids).items()}
        return Turn(
            count,
            seconds,
            {role: value / count * 1e6 for role, value in used.items()},
            sum(command["usec"] for command in commands.values()) / count,
            sum(commands[f"cmdstat_{name}"]["calls"] for name in _SCRIPTS if f"cmdstat_{name}" in commands),
        )

    def _wait(self, target: int) -> None:
        seen, moved = -1, time.monotonic()
        while (done := self.done()) < target:
            if done != seen:
                seen, moved = done, time.monotonic()
            elif time.monotonic() - moved > _STALLED:
                raise TimeoutError(f"{target - done} jobs of {self.shape} have no end; nothing moves any more")
            time.sleep(_LOOK)

    def _wait_final(self) -> None:
        """Sealing is part of the cost: count it until all of it is done."""
        deadline = time.monotonic() + _STALLED
        while (state := self.bench.ledger.state()).finalized_seq < state.seq:
            if time.monotonic() > deadline:
                raise TimeoutError("the last transactions did not become final")
            time.sleep(_LOOK)


@contextmanager
def contender(shape: Shape) -> Iterator[Contender]:
    """A contender on a bench of its own, warm."""
    options = dict(shape.settings)
    if not shape.upkeep:
        options["unsealed_limit"] = 10**9
    with bench(**options) as it:
        yield Contender(it, shape)
