"""From measured turns to figures: medians, spreads, ratios."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.contenders import Turn
from benchmarks.harness import summary


def medians(turns: Sequence[Turn]) -> dict[str, float]:
    """Role to the median of its CPU time, in microseconds."""
    return {role: statistics.median(turn.cpu_us.get(role, 0.0) for turn in turns) for role in turns[0].cpu_us}


def rounds(turns: Sequence[Turn], alone: Sequence[Turn], batch_size: int) -> float:
    """Rounds of load and commit for each batch. A worker alone on a ledger conflicts with nobody: it needs one."""

    def calls(one: Sequence[Turn]) -> float:
        return statistics.median(turn.script_calls / turn.count for turn in one) * batch_size

    return round(1 + (calls(turns) - calls(alone)) / 2, 2)


def figures(turns: Sequence[Turn]) -> dict[str, Any]:
    """Medians of some turns, with the spread of what is by the wall clock and of the sums."""
    return {
        "per_second": summary([turn.per_second for turn in turns]),
        "cpu_us": medians(turns),
        "total_us": summary([turn.total_us for turn in turns]),
        "workers_and_redis_us": summary([turn.served_us for turn in turns]),
        "redis_commands_us": summary([turn.commands_us for turn in turns]),
    }


#: How a turn compares with bare Celery's of the same turn; more is better.
RATIOS: dict[str, Callable[[Turn, Turn], float]] = {
    "CPU": lambda ours, bare: bare.total_us / ours.total_us,
    "CPU of workers and Redis": lambda ours, bare: bare.served_us / ours.served_us,
    "wall": lambda ours, bare: ours.per_second / bare.per_second,
}


def times(ours: Sequence[Turn], bare: Sequence[Turn]) -> dict[str, Any]:
    """What bare Celery costs, in units of what ours costs, turn by turn."""
    return {
        name: summary([ratio(one, other) for one, other in zip(ours, bare, strict=True)])
        for name, ratio in RATIOS.items()
    }
