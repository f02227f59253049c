"""`make soak MINUTES=30`: half of the load that the machine takes, and what grows meanwhile.

Sampled every ten seconds: resident memory and open descriptors of every process, the memory of Redis, the bytes of the
archive. A figure is flat when it grows by less than a tenth, or 5 MiB, in the second half of the time.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.accounting import resident_mib
from benchmarks.contenders import Contender, Shape, contender

_STEP, _SAMPLE = 1.0, 10.0
#: Slots after which Redis forgets a transaction: before that it must grow.
_WARM_SECONDS = 130.0


def run(*, minutes: float = 30.0) -> dict[str, Any]:
    """Samples, and what each came to in the second half."""
    with contender(Shape("batch")) as one:
        one.turn(2_000)
        per_second = int(one.turn(10_000).per_second / 2)
        samples = _load(one, per_second, minutes * 60)
        state = one.bench.ledger.state()
    return {
        "minutes": minutes,
        "offered_per_second": per_second,
        "transactions": state.processed + state.failed,
        "samples": samples,
        "growth": _growth(samples),
    }


def _load(one: Contender, per_second: int, seconds: float) -> list[dict[str, Any]]:
    samples, began, due = [], time.monotonic(), 0.0
    while (now := time.monotonic() - began) < seconds:
        one.offer(int(per_second * _STEP))
        if now >= due:
            samples.append(_sample(one, now))
            due += _SAMPLE
        time.sleep(max(0.0, _STEP - (time.monotonic() - began - now)))
    return samples


def _sample(one: Contender, at: float) -> dict[str, Any]:
    bench = one.bench
    archive = bench.folder / "data" / "archive"
    return {
        "seconds": round(at, 1),
        "transactions": one.done(),
        "resident_mib": resident_mib(bench.pids),
        "redis_mib": round(int(bench.client.info("memory")["used_memory"]) / 2**20, 1),
        "archive_mib": round(_size(archive) / 2**20, 1),
        "descriptors": sum(psutil.Process(pid).num_fds() for pids in bench.pids.values() for pid in pids),
    }


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            # A temporary file that has got its name meanwhile, or a block that was dropped.
            continue
    return total


def _growth(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """From the middle to the end, each a median of some samples: processes in MiB, and so on."""
    rest = [sample for sample in samples if sample["seconds"] >= _WARM_SECONDS] or samples
    half = rest[len(rest) // 2 :] or rest
    first, last = half[: max(1, len(half) // 5)], half[-max(1, len(half) // 5) :]
    found = {
        name: _change(
            [one["resident_mib"].get(name, 0.0) for one in first], [one["resident_mib"].get(name, 0.0) for one in last]
        )
        for name in rest[-1]["resident_mib"]
    }
    for name in ("redis_mib", "archive_mib", "descriptors"):
        found[name] = _change([one[name] for one in first], [one[name] for one in last])
    return found


def _change(first: list[float], last: list[float]) -> dict[str, Any]:
    before, after = statistics.median(first), statistics.median(last)
    return {"middle": before, "end": after, "flat": after - before <= max(5.0, before / 10)}
