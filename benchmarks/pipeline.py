"""The pipeline against bare Celery and others, in one run on one machine, in its steady state.

Batches go through a ledger that has everything on: verification, sealing, checkpoints, and pruning, which begins when a
ledger is 300 slots (120 s) old. The bursts of the first 300 slots are therefore for warmth, and each measured burst
comes 300 slots after one of them, so that what is pruned during it is as much as what it adds. Between the bursts
bare Celery, the single task and the peers take their turns.
"""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.accounting import cpu_seconds, resident_mib
from benchmarks.contenders import Contender, Shape, Turn, contender
from benchmarks.figures import figures, rounds, times
from benchmarks.harness import summary
from benchmarks.peer_turns import PeerTurns

#: Slots after which Redis forgets a transaction, and from one burst to the next: 30 s.
_KEPT_SLOTS = 300
_BURST_SLOTS = 75
_BURSTS = 3
#: Seconds that a burst is to last.
_BURST_SECONDS = 6.0
_BARE, _SINGLE, _CONFLICTS = 3_000, 2_500, 20_000


def run(*, with_peers: bool = True) -> dict[str, Any]:
    """Microseconds of CPU by process, transactions a second, ratios to bare Celery, bytes."""
    with ExitStack() as stack:
        batch = stack.enter_context(contender(Shape("batch")))
        bare = stack.enter_context(contender(Shape("bare")))
        single = stack.enter_context(contender(Shape("single", upkeep=False)))
        steady = _Steady(batch, bare, single, PeerTurns() if with_peers else None)
        result = steady.run()
    return result | {"conflicts": _conflicts()}


class _Steady:
    """The turns of the first part: batches with everything on, bare Celery, single tasks."""

    def __init__(self, batch: Contender, bare: Contender, single: Contender, others: PeerTurns | None) -> None:
        self._batch, self._bare, self._single, self._others = batch, bare, single, others
        self._turns: dict[str, list[Turn]] = {"bare": [], "single": [], "batch": []}
        self._growth: list[float] = []
        self._resident: list[dict[str, float]] = []
        self._idle_cpu = self._idle_seconds = 0.0

    def run(self) -> dict[str, Any]:
        for one in (self._bare, self._single):
            one.turn(300)
        self._batch.turn(2_000)
        count = int(max(5_000, min(120_000, self._batch.turn(10_000).per_second * _BURST_SECONDS)))
        memory, began = self._used_memory(), self._slot()
        for number in range(2 * _BURSTS):
            offset = number % _BURSTS * _BURST_SLOTS + number // _BURSTS * _KEPT_SLOTS
            self._wait_for_slot(began + offset)
            self._burst(count)
            # In the first half the gap before the third burst's successor has room for all peers.
            self._others_turns(7 if number == _BURSTS - 1 else 2 if number >= _BURSTS else 0)
        kept = sum(turn.count for turn in self._turns["batch"][_BURSTS:])
        return self._result(kept, self._used_memory() - memory)

    def _others_turns(self, peers: int) -> None:
        """One turn of bare Celery and of single tasks, and those of some peers; the ledger only keeps itself up."""
        pids = {role: some for role, some in self._batch.bench.pids.items() if role != "producer"}
        cpu, began = sum(cpu_seconds(pids).values()), time.monotonic()
        self._turns["bare"].append(self._bare.turn(_BARE))
        self._turns["single"].append(self._single.turn(_SINGLE))
        if self._others is not None:
            self._others.play(peers)
        self._idle_cpu += sum(cpu_seconds(pids).values()) - cpu
        self._idle_seconds += time.monotonic() - began

    def _burst(self, count: int) -> None:
        before = self._used_memory()
        turn = self._batch.turn(count)
        self._turns["batch"].append(turn)
        self._growth.append((self._used_memory() - before) / count)
        self._resident.append(resident_mib(self._batch.bench.pids))

    def _result(self, kept: int, memory: int) -> dict[str, Any]:
        first, steady = self._turns["batch"][:_BURSTS], self._turns["batch"][_BURSTS:]
        rows = {"bare": self._turns["bare"], "single": self._turns["single"], "batch": steady}
        yardstick = {"single": self._turns["bare"], "batch": self._turns["bare"][_BURSTS:]}
        found = {name: figures(turns) for name, turns in rows.items()}
        found["batch before pruning"] = figures(first)
        return {
            "contenders": found,
            "times_bare": {name: times(rows[name], yardstick[name]) for name in yardstick},
            "burst": steady[0].count,
            "idle_share_of_a_core": self._idle_cpu / self._idle_seconds,
            "redis_bytes_kept_per_transaction": round(memory / kept),
            "redis_bytes_grown_in_a_burst": {
                "before pruning": round(statistics.median(self._growth[:_BURSTS])),
                "steady": round(statistics.median(self._growth[_BURSTS:])),
            },
            "archive_bytes_per_transaction": self._archive_bytes(),
            # At both ends Redis holds the bursts of 300 slots.
            "resident_mib": {"first": self._resident[_BURSTS - 1], "last": self._resident[-1]},
            "transactions": kept,
            "peers": self._others.result() if self._others is not None else {},
        }

    def _archive_bytes(self) -> float:
        """Of all blocks but those of the genesis, which hold programs and accounts."""
        folder = self._batch.bench.folder / "data" / "archive"
        blocks = sorted(folder.rglob("*.block"), key=_slot_of)
        state = self._batch.bench.ledger.state()
        return round(sum(path.stat().st_size for path in blocks[1:]) / (state.processed + state.failed), 1)

    def _used_memory(self) -> int:
        return int(self._batch.bench.client.info("memory")["used_memory"])

    def _slot(self) -> int:
        return self._batch.bench.ledger.state().slot

    def _wait_for_slot(self, slot: int) -> None:
        while self._slot() < slot:
            time.sleep(0.1)


def _slot_of(path: Path) -> int:
    return int(path.stem)


def _conflicts(turns: int = 2) -> dict[str, Any]:
    """Without upkeep: 2 and 4 workers on 1,000 accounts, and 4 workers on one payer's transactions, in turn."""
    shapes = {
        "2 workers": Shape("batch", 2, upkeep=False),
        "4 workers": Shape("batch", 4, upkeep=False),
        "4 workers, one payer": Shape("batch", 4, hot=1.0, upkeep=False),
        "1 worker": Shape("batch", 1, upkeep=False),
    }
    found: dict[str, list[Turn]] = {name: [] for name in shapes}
    with ExitStack() as stack:
        all_of_them = {name: stack.enter_context(contender(shape)) for name, shape in shapes.items()}
        for one in all_of_them.values():
            one.turn(1_000)
        for _ in range(turns):
            for name, one in all_of_them.items():
                found[name].append(one.turn(_CONFLICTS))
        size = next(iter(all_of_them.values())).bench.settings.intake.batch_size
    hot, flat = found["4 workers, one payer"], found["4 workers"]
    return {
        "contenders": {name: figures(turns) for name, turns in found.items()},
        "hot_against_none": summary([one.per_second / other.per_second for one, other in zip(hot, flat, strict=True)]),
        "hot_against_none_cpu": summary([other.total_us / one.total_us for one, other in zip(hot, flat, strict=True)]),
        "rounds": {name: rounds(found[name], found["1 worker"], size) for name in found},
    }
