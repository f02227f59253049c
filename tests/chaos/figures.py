"""A run in figures: what was injected, how long it took to work again, what clients saw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from tests.chaos.checker.judge import Verdict
from tests.chaos.history import Row


def figures(verdict: Verdict, rows: Sequence[Row], seeds: Sequence[int], fsync: str) -> dict[str, Any]:
    """Plain data for a JSON file; times in seconds."""
    faults = [row for row in rows if row["kind"] == "fault"]
    kinds: dict[str, dict[str, Any]] = defaultdict(lambda: {"times": 0, "alone": [], "together": []})
    for row in faults:
        one = kinds[row["name"]]
        one["times"] += 1
        one["alone" if row["alone"] else "together"].append(row["recovery"])
    return {
        "seeds": list(seeds),
        "fsync": fsync,
        "cycles": len({(row["t1"], row["cycle"]) for row in faults}),
        "faults": len(faults),
        "kinds": dict(sorted(kinds.items())),
        "transactions": verdict.world.transactions,
        "answers": verdict.answers,
        "checkpoints": verdict.world.checkpoints,
        "violations": [{"rule": one.rule, "detail": str(one), "at": one.at} for one in verdict.violations],
    }
