"""The circuit breaker beside pybreaker, aiobreaker and interlock-cb: same machine, same Redis, same run.

`python -m benchmarks.breaker` (about a minute; `--full` takes ten times the rounds) prints tables; `run()` returns
the numbers. Repetitions are interleaved and compared as ratios within each, so that a busy machine disturbs all
alike.
"""

from __future__ import annotations

import gc
import math
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.breaker_contenders import CONTENDERS, Contender
from benchmarks.breaker_processes import probes_in_flight, propagation, round_trips
from workers.supervisor.embedded_redis import EmbeddedRedis

PERCENTILES = (50, 95, 100)


def _work() -> None:
    return None


def _microseconds_per_call(call: Callable[[Callable[[], Any]], Any], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call(_work)
    return (time.perf_counter() - start) / calls * 1e6


def closed_path(url: str, repetitions: int) -> dict[str, dict[str, Any]]:
    """Microseconds added to a call of nothing while the breaker is closed."""
    ready: dict[str, Contender] = {name: make(url, "closed") for name, make in CONTENDERS.items()}
    calls = {name: 500 if "breaker" in name else 200_000 for name in ready}
    for name, contender in ready.items():
        _microseconds_per_call(contender.call, calls[name] // 10)
    added: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(repetitions):
        bare = _microseconds_per_call(lambda fn: fn(), 200_000)
        for name, contender in ready.items():
            added[name].append(_microseconds_per_call(contender.call, calls[name]) - bare)
    ours = added["trunkline"]
    return {
        name: {
            "added_us": _median_and_spread(added[name]),
            "times_ours": _median_and_spread([b / a for a, b in zip(ours, added[name], strict=True)]),
        }
        for name in ready
    }


def memory(url: str, breakers: int = 50) -> dict[str, float]:
    """Bytes per breaker after a first call, its share of connection and threads included."""
    found: dict[str, float] = {}
    for name, make in CONTENDERS.items():
        if "default" in name:
            continue
        warm = make(url, "warm")
        warm.call(_work)
        gc.collect()
        tracemalloc.start()
        kept = [make(url, f"memory{number}") for number in range(breakers)]
        for contender in kept:
            contender.call(_work)
        gc.collect()
        found[name] = tracemalloc.get_traced_memory()[0] / breakers
        tracemalloc.stop()
    return found


def run(*, full: bool = False) -> dict[str, Any]:
    """Everything measured, as plain data for results.json. Times are seconds unless the name says otherwise."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedRedis(Path(folder))
        server.start()
        try:
            url = server.url
            delays = propagation(url, rounds=50 if full else 6)
            return {
                "closed_path": closed_path(url, repetitions=15 if full else 5),
                "round_trips_per_call": round_trips(url),
                "trip_reaches_8_processes_ms": {
                    name: {f"p{p}": _milliseconds(_percentile(values, p)) for p in PERCENTILES}
                    for name, values in delays.items()
                },
                "probes_in_flight_of_3_allowed": probes_in_flight(url, rounds=1000 if full else 60),
                "bytes_per_breaker": memory(url),
            }
        finally:
            server.stop()


def _median_and_spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "least": round(min(values), 3),
        "most": round(max(values), 3),
    }


def _percentile(ordered: list[float], percent: int) -> float:
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _milliseconds(seconds: float) -> float | None:
    """None when it never came: successes of other processes may reset a count before it reaches its threshold."""
    return None if seconds == math.inf else round(seconds * 1000, 1)


def print_tables(results: dict[str, Any]) -> None:
    """The results for a person."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title="Circuit breakers on one Redis", caption="spread in brackets; 3 probes allowed")
    headings = (
        "",
        "added to a closed call, µs",
        "round trips a call, by pace",
        "x ours",
        "trip seen, p50/p95/all ms",
    )
    for heading in (*headings, "most probes at once (rounds)", "KB each"):
        table.add_column(heading)
    for name, closed in results["closed_path"].items():
        added, ratio = closed["added_us"], closed["times_ours"]
        delays = results["trip_reaches_8_processes_ms"][name]
        probes = results["probes_in_flight_of_3_allowed"].get(name)
        size = results["bytes_per_breaker"].get(name)
        table.add_row(
            name,
            f"{added['median']:.2f} ({added['least']:.2f}-{added['most']:.2f})",
            ", ".join(f"{share:.3f} at {at}" for at, share in results["round_trips_per_call"][name].items()),
            f"{ratio['median']:.1f} ({ratio['least']:.1f}-{ratio['most']:.1f})",
            "/".join(str(delays[f"p{p}"] or "never") for p in PERCENTILES),
            f"{probes['most_in_flight']} ({probes['rounds']})" if probes else "",
            f"{size / 1000:.1f}" if size else "",
        )
    console.print(table)


if __name__ == "__main__":
    print_tables(run(full="--full" in sys.argv))
