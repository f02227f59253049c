"""How cost grows: workers, transactions a message, accounts, conflicts, size of a transaction.

Each point is a ledger of its own without upkeep, alone on the machine; what is not named is 2 workers (4 for
conflicts), 1,000 accounts, the default batch, one transfer a transaction.
"""

from __future__ import annotations

from typing import Any

from benchmarks.contenders import Shape, contender
from benchmarks.figures import figures

_COUNT, _TURNS = 15_000, 3
_WORKERS = (1, 2, 4, 8)
_BATCHES = (1, 4, 16, 64, 128, 256, 512, 1024)
_ACCOUNTS = (1_000, 10_000, 100_000, 1_000_000)
_CONFLICTS = (0.0, 0.25, 0.5, 0.75, 1.0)
_PAYMENTS = (1, 5, 15)


def run(*, count: int = _COUNT, turns: int = _TURNS) -> dict[str, Any]:
    """Figures by axis and point, and Redis bytes an account."""
    axes: dict[str, dict[str, Shape]] = {
        "workers": {str(one): Shape("batch", one, upkeep=False) for one in _WORKERS},
        "batch": {str(one): _batch_of(one) for one in _BATCHES if one <= _largest_batch()},
        "accounts": {str(one): Shape("batch", accounts=one, upkeep=False) for one in _ACCOUNTS},
        "conflicts": {f"{one:.0%}": Shape("batch", 4, hot=one, upkeep=False) for one in _CONFLICTS},
        "payments": {str(one): Shape("batch", payments=one, upkeep=False) for one in _PAYMENTS},
    }
    found = {
        axis: {point: _point(shape, count, turns) for point, shape in shapes.items()} for axis, shapes in axes.items()
    }
    few, many = (found["accounts"][str(_ACCOUNTS[place])]["redis_bytes"] for place in (0, -1))
    return {
        **found,
        "redis_bytes_per_account": round((many - few) / (_ACCOUNTS[-1] - _ACCOUNTS[0]), 1),
        "cpu_8_workers_against_1": _total(found, "workers", "8") / _total(found, "workers", "1"),
    }


def _batch_of(size: int) -> Shape:
    return Shape("batch", upkeep=False, settings={"batch_size": size})


def _largest_batch() -> int:
    """What the setting allows."""
    from config.sections import IntakeSettings

    bounds = IntakeSettings.model_fields["batch_size"].metadata
    return int(next(bound.le for bound in bounds if hasattr(bound, "le")))


def _point(shape: Shape, count: int, turns: int) -> dict[str, Any]:
    with contender(shape) as one:
        memory = int(one.bench.client.info("memory")["used_memory"])
        # A message for each transaction takes long enough with a few.
        few = count // 4 if shape.settings.get("batch_size", 64) < 8 else count
        one.turn(max(200, few // 10))
        return figures([one.turn(few) for _ in range(turns)]) | {"redis_bytes": memory}


def _total(found: dict[str, dict[str, Any]], axis: str, point: str) -> float:
    return float(found[axis][point]["total_us"]["median"])
