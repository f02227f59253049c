"""CPU time for each transaction, by process, in about a minute: `python -m benchmarks.cpu`.

    python -m benchmarks.cpu                                  # bare Celery, single, batch and hot account, in turn
    python -m benchmarks.cpu batch hot --workers 1 2 4 8      # each with 1, 2, 4 and 8 workers
    python -m benchmarks.cpu bare batch --accounts 1000000 --batch-size 256 --turns 5

Every contender has a Redis of its own; they take turns, so that whatever else the machine does disturbs all alike.
Microseconds of CPU are from the operating system's books (`benchmarks/accounting.py`), transactions a second by the
wall clock: beside other work believe the former. Ratios are of bare Celery within the same turn. With
`--upkeep` each ledger has beat and maintenance (sealing, checkpoints), which work by the clock: on a busy machine
they cost each transaction too much. Pruning begins when a ledger is 300 slots (120 s) old: `make bench` includes it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from benchmarks.contenders import Shape, Turn, contender
from benchmarks.figures import RATIOS, medians
from benchmarks.harness import summary

KINDS = ("bare", "single", "batch", "hot")
#: Jobs in a turn: about two seconds of CPU for each.
_COUNTS = {"bare": 1_200, "single": 1_000, "batch": 10_000, "hot": 6_000}
ROLES = ("producer", "redis", "worker parent", "pool child", "maintenance", "beat")


def main() -> int:
    """Measure what was asked for, print the table."""
    chosen = _parser().parse_args()
    asked = shapes(chosen)
    rows = measure(asked, turns=chosen.turns, counts={name: _count(name, chosen.count) for name in asked})
    print(table(rows))
    if chosen.json:
        chosen.json.write_text(json.dumps({name: [asdict(turn) for turn in turns] for name, turns in rows.items()}))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="of " + ", ".join(KINDS) + " (all)", default=KINDS)
    parser.add_argument("--workers", type=int, nargs="+", default=[2], help="worker processes (2)")
    parser.add_argument("--accounts", type=int, default=1_000, help="funded accounts (1000)")
    parser.add_argument("--batch-size", type=int, help="transactions a message (the setting's default)")
    parser.add_argument("--hot-share", type=float, default=1.0, help="of `hot`: share that the one payer pays (1)")
    parser.add_argument("--payments", type=int, default=1, help="transfers in one transaction (1)")
    parser.add_argument("--producers", type=int, default=1, help="processes that submit (1)")
    parser.add_argument("--turns", type=int, default=2, help="measured turns of each (2), after a warm-up")
    parser.add_argument("--count", type=int, help="jobs in a turn, of batch and hot")
    parser.add_argument(
        "--upkeep", action="store_true", help="beat and maintenance beside each ledger: sealing, checkpoints"
    )
    parser.add_argument("--json", type=Path, help="write every turn to this file")
    return parser


def shapes(chosen: argparse.Namespace) -> dict[str, Shape]:
    """The contenders asked for, by name."""
    found: dict[str, Shape] = {}
    if unknown := set(chosen.kinds) - set(KINDS):
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    common = {"accounts": chosen.accounts, "payments": chosen.payments, "producers": chosen.producers}
    settings = {"batch_size": chosen.batch_size} if chosen.batch_size else {}
    for kind in KINDS:
        if kind not in chosen.kinds:
            continue
        for workers in chosen.workers if kind in ("batch", "hot") else chosen.workers[:1]:
            name = kind if len(chosen.workers) == 1 else f"{kind} {workers}w"
            shape = Shape("bare", workers)
            if kind != "bare":
                shape = Shape(
                    "single" if kind == "single" else "batch",
                    workers,
                    hot=chosen.hot_share if kind == "hot" else 0.0,
                    upkeep=chosen.upkeep,
                    settings=settings,
                    **common,
                )
            found[name] = shape
    return found


def measure(shapes: dict[str, Shape], *, turns: int, counts: dict[str, int]) -> dict[str, list[Turn]]:
    """`turns` turns of each shape with so many jobs, interleaved, after one for warmth."""
    with ExitStack() as stack:
        all_of_them = {name: stack.enter_context(contender(shape)) for name, shape in shapes.items()}
        for name, one in all_of_them.items():
            one.turn(max(50, counts[name] // 10))
        rows: dict[str, list[Turn]] = {name: [] for name in shapes}
        for _ in range(turns):
            for name, one in all_of_them.items():
                rows[name].append(one.turn(counts[name]))
    return rows


def _count(name: str, count: int | None) -> int:
    kind = name.split(maxsplit=1)[0]
    return count if count and kind in ("batch", "hot") else _COUNTS[kind]


def table(rows: dict[str, list[Turn]]) -> str:
    """For a person: medians; of what is by the wall clock also the least and the most."""
    names = list(rows)
    lines = [_line(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", names)]
    for role in ROLES:
        values = [medians(rows[name]).get(role) for name in names]
        if any(value is not None for value in values):
            lines.append(_line(f"{role}, us", ["" if value is None else f"{value:.1f}" for value in values]))
    lines.append(_line("sum, us", [_middle([turn.total_us for turn in rows[name]]) for name in names]))
    lines.append(_line("workers and Redis, us", [_middle([turn.served_us for turn in rows[name]]) for name in names]))
    lines.append(
        _line("Redis within commands, us", [_middle([turn.commands_us for turn in rows[name]]) for name in names])
    )
    calls = [[64 * turn.script_calls / turn.count for turn in rows[name]] for name in names]
    lines.append(_line("script calls for 64", [_middle(one) for one in calls]))
    lines.append(
        _line("a second, by the wall", [_spread([turn.per_second for turn in rows[name]], ".0f") for name in names])
    )
    if any(name.split()[0] == "bare" for name in rows):
        for what, ratio in RATIOS.items():
            lines.append(_line(f"times bare: {what}", [_spread(ratios(rows, name, ratio), ".2f") for name in names]))
    return "\n".join(lines)


def ratios(rows: dict[str, list[Turn]], name: str, ratio: Callable[[Turn, Turn], float]) -> list[float]:
    """One for each turn."""
    bare = next(turns for other, turns in rows.items() if other.split()[0] == "bare")
    return [ratio(ours, yardstick) for ours, yardstick in zip(rows[name], bare, strict=True)]


def _line(title: str, values: Sequence[str]) -> str:
    return f"{title:<32}" + "".join(f"{value:>24}" for value in values)


def _middle(values: list[float]) -> str:
    return f"{statistics.median(values):.1f}"


def _spread(values: list[float], form: str) -> str:
    found = summary(values)
    return f"{found['median']:{form}} ({found['min']:{form}}-{found['max']:{form}})"


if __name__ == "__main__":
    sys.exit(main())
