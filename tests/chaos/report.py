"""`docs/reliability.md`, from storms: `python -m tests.chaos.report [--minutes M]` (`make reliability`).

It runs storms one after the other, each with a seed of its own, and writes what they came to; with `--from` it only
writes, from the figures (`python -m tests.chaos --json FILE`) in a folder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.measure import MEASURES, measure
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "reliability.md"
#: Minutes of one storm: a new ledger for each.
_STORM = 5.0

Run = dict[str, Any]


def main() -> int:
    """Returns the exit code: 1 when a storm broke a promise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1, help="of the first storm; the next one has the next")
    parser.add_argument("--from", dest="folder", type=Path)
    parser.add_argument("--note", default="", help="what a reader must know of this run")
    parser.add_argument("--measures", type=Path, help="figures of `python -m tests.chaos.measure --json FILE`")
    options = parser.parse_args()
    if options.folder is not None:
        runs = [json.loads(path.read_text()) for path in sorted(options.folder.glob("*.json"))]
    else:
        runs = list(_storms(options.seed, options.minutes))
    measured = json.loads(options.measures.read_text()) if options.measures else measure(list(MEASURES))
    PAGE.write_text(page(runs, measured, options.note))
    return int(any(run["violations"] for run in runs))


def _storms(seed: int, minutes: float) -> Iterable[Run]:
    with tempfile.TemporaryDirectory() as folder:
        for number in range(max(1, round(minutes / _STORM))):
            file = Path(folder) / f"{number}.json"
            command = [sys.executable, "-m", "tests.chaos", "--seed", str(seed + number), "--json", str(file)]
            command += ["--minutes", str(min(minutes, _STORM)), "--fsync", ("everysec", "always")[number % 2]]
            command += ["--archive", "s3" if number % 6 == 5 else "folder"]
            subprocess.run(command, cwd=ROOT, check=False)
            if file.exists():
                yield json.loads(file.read_text())


_HEAD = """
This page is made by `make reliability`, which runs what `make chaos` runs, several times. A nemesis injects faults into
real processes by a seeded schedule, alone and overlapping, while clients use them; then everything heals, and a checker
that shares no code with the pipeline judges every answer that the clients got, the archive (executed again by the
[oracle](oracle.md)), the checkpoints, and the ledger in Redis.
"""
_TOTALS = """
**{faults} faults of {kinds} kinds in {cycles} cycles: {violations} violations.** {answers:,} answers,
{transactions:,} transactions and {checkpoints} checkpoints were judged. Seeds: {seeds}. Machine: {machine};
load average at the ends of the storms: {load}.
"""
_DEFINITIONS = """
An outage is the time from a fault in which nobody can be served (Redis gone, the RPC server gone, the intake closed by
hand; a third of all kinds) to the recovery after it. A call is repeated as web3.js does: after HTTP 429 only. A
transaction is seen through when it is final within 25 s of its first send; it is sent again every 2 s. Ledgers are
small here: a few thousand accounts. The rows from the lost replies on are of `python -m tests.chaos.measure`, each by
itself; those before them of the storms.
"""
_RECOVERY = """
Recovery is the time from the end of a fault until a transaction that is sent then is processed; of a fault that ends
as it begins (a kill, a loss of data), from its beginning. *Alone* are cycles with this fault only, *all* includes those
with others at the same time, where it counts from the end of them all. Where a rule flapped and
keeps the transactions READ_ONLY for ten minutes, an operator clears it after 10 s (`trunkline mode clear --rules`).
"""
_PROMISES = """
[durability.md](durability.md) says what may be lost, and the checker holds every fault to it: `redis-flushall`,
`redis-replaced-by-empty`, `redis-older-copy-put-back`, the damaged archives and the crashes in a restore (which begin
with an emptied Redis) may lose what was not final; `redis-power-cut` and `redis-kill-everysec` what was told in the
2.5 s before; every other fault nothing at all. What was told as finalized may never be missing, and a refusal never
execute.
"""
_PLANTED = """
`make chaos-planted` plants twelve bugs into copies of the tree, one after the other, and the checker must find each;
`tests/chaos/test_checker.py` shows it small made-up histories.
"""


def page(runs: Sequence[Run], measured: Run, note: str = "") -> str:
    """The page, as Markdown."""
    kinds = _merged(runs)
    violations = [text for run in runs for text in run["violations"]]
    totals = _TOTALS.format(
        faults=sum(run["faults"] for run in runs),
        kinds=len(kinds),
        cycles=sum(run["cycles"] for run in runs),
        violations=len(violations),
        answers=sum(run["answers"] for run in runs),
        transactions=sum(run["transactions"] for run in runs),
        checkpoints=sum(run["checkpoints"] for run in runs),
        seeds=", ".join(f"{seed} ({run['how']})" for run in runs for seed in run["seeds"]),
        load=", ".join(str(run.get("load") or "?") for run in runs),
        machine=f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}",
    )
    sections = [
        "# Reliability",
        _prose(_HEAD),
        _prose(totals),
        *([_prose(note)] if note else []),
        *_told(violations),
        "## What clients saw",
        "\n".join(["| figure | value |", "|---|---|", *_clients(runs, kinds), *_measured(measured)]),
        _prose(_DEFINITIONS),
        "## Faults",
        _prose(_RECOVERY),
        "\n".join(_table(kinds)),
        "## What the checker knows of promises",
        _prose(_PROMISES),
        _prose(_PLANTED),
    ]
    return "\n\n".join(sections) + "\n"


def _prose(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 118, break_long_words=False, break_on_hyphens=False)


def _table(kinds: dict[str, Run]) -> list[str]:
    rows = [
        "| fault | times | violations | alone p50 (s) | p99 | all p50 (s) | p99 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, kind in sorted(kinds.items()):
        times = [kind["alone"], kind["alone"] + kind["together"]]
        cells = [_cell(seconds, share) for seconds in times for share in (0.5, 0.99)]
        rows.append(f"| {name} | {kind['times']} | {kind['violations']} | {' | '.join(cells)} |")
    return rows


def _told(violations: Sequence[str]) -> list[str]:
    if not violations:
        return []
    return ["## Violations", "\n".join(f"- `{text[:110]}`" for text in violations[:30])]


def _merged(runs: Sequence[Run]) -> dict[str, Run]:
    kinds: dict[str, Run] = {}
    for run in runs:
        for name, kind in run["kinds"].items():
            one = kinds.setdefault(name, {"times": 0, "violations": 0, "alone": [], "together": []})
            for field in one:
                one[field] += kind[field]
    return kinds


def _clients(runs: Sequence[Run], kinds: dict[str, Run]) -> list[str]:
    def of(*names: str) -> tuple[list[float], list[float]]:
        """Recovery times of these kinds alone, and of all."""
        chosen = [kinds[name] for name in names if name in kinds]
        alone = [seconds for kind in chosen for seconds in kind["alone"]]
        return alone, alone + [seconds for kind in chosen for seconds in kind["together"]]

    def times(what: str, found: tuple[list[float], list[float]]) -> list[tuple[str, str]]:
        return [
            (f"{what}: processing again, alone ({len(found[0])} times), p50 / p99", _pair(found[0])),
            (f"the same, with other faults at the same time, too ({len(found[1])} times)", _pair(found[1])),
        ]

    kills = [seconds for run in runs for seconds in run["after_kills"]]
    restarts = of(
        "redis-restart", "redis-kill-always", "redis-kill-everysec", "redis-power-cut", "redis-power-cut-always"
    )
    emptied = of("redis-flushall", "redis-replaced-by-empty")
    rows = [
        ("worker killed (SIGKILL): from submit to processed, of what was under way, p50", _cell(kills, 0.5) + " s"),
        ("the same, p99", _cell(kills, 0.99) + " s"),
        *times("Redis restarted, killed or without power", restarts),
        *times("Redis emptied or replaced by an empty one", emptied),
        ("RPC calls answered, outside outages", _share(run["calls"] for run in runs)),
        ("RPC calls answered, outages included", _share(run["calls_in_all"] for run in runs)),
        ("transactions seen through by an RPC client, outside outages", _share(run["confirms"] for run in runs)),
    ]
    return [f"| {name} | {value} |" for name, value in rows]


def _measured(found: Run) -> list[str]:
    """What `tests/chaos/measure.py` found."""
    rows = []
    if fifth := found.get("fifth-fails"):
        share = f"{fifth['processed']:,} of {fifth['accepted']:,}, {fifth['within_10_s']:,} within 10 s, "
        share += f"the slowest after {fifth['slowest_s']} s"
        rows.append(f"| every fifth reply of Redis to a call of the ledger is lost, 30 s: processed | {share} |")
    if outage := found.get("outage"):
        rows.append(f"| Redis out of reach for 60 s: what arrives there, of normal | {outage['outage_ratio']:.2f} |")
        burst = f"{outage['burst_ratio']:.1f} ({outage['normal_burst_ratio']:.1f} without an outage)"
        rows.append(f"| at its return: the largest 100 ms, of the normal mean | {burst} |")
    if emptied := found.get("emptied"):
        again = f"{emptied['processing_again_s']} s"
        rows.append(f"| Redis emptied with {emptied['accounts']:,} accounts: processing again | {again} |")
    if rolling := found.get("rolling"):
        told = f"{rolling['failed_calls']} calls failed, {rolling['refused']} of {rolling['accepted']:,} refused, "
        told += (
            f"{rolling['outcomes_beyond_accepted']} applied twice; p50 {rolling['p50_s']} s, p99 {rolling['p99_s']} s"
        )
        what = f"every process but Redis restarted in turn at {rolling['per_s']} transactions a second"
        rows.append(f"| {what}: from accepted to processed | {told} |")
    return rows


def _pair(seconds: Sequence[float]) -> str:
    return f"{_cell(seconds, 0.5)} / {_cell(seconds, 0.99)} s"


def _share(pairs: Iterable[Sequence[int]]) -> str:
    good = all_ = 0
    for one, count in pairs:
        good, all_ = good + one, all_ + count
    return f"{100 * good / all_:.2f} % of {all_:,}" if all_ else "none"


def _cell(seconds: Sequence[float], share: float) -> str:
    """A percentile (nearest rank) with one decimal; a dash without any value."""
    if not seconds:
        return "–"
    ordered = sorted(seconds)
    rank = max(0, -(-int(share * 1000 * len(ordered)) // 1000) - 1)
    return f"{ordered[min(rank, len(ordered) - 1)]:.1f}"


if __name__ == "__main__":
    sys.exit(main())
