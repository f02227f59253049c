"""Parts of snapshots for tests of what is told of them."""

from __future__ import annotations

from dataclasses import replace

from recovery.breaker import BreakerStatus, CircuitState
from workers.overview.model import Overview


def breaker(state: CircuitState, **facts: object) -> BreakerStatus:
    """The breaker `transaction` in `state`, with other `facts` where given."""
    given: dict[str, object] = {
        "name": "transaction",
        "state": state,
        "for_seconds": 12.0,
        "retry_in": 4.0,
        "reason": "5 failures in a row",
        "override": None,
        "override_reason": "",
        "override_by": "",
        "override_ends_in": None,
    }
    counts = dict.fromkeys(
        ("generation", "trips", "failures_in_a_row", "probes_in_flight", "calls", "failures", "slow", "rejected"), 0
    )
    return BreakerStatus(**{**given, **counts, **facts})  # type: ignore[arg-type]


def waits(overview: Overview, **facts: object) -> Overview:
    """`overview` with other `facts` of what waits."""
    assert overview.waiting is not None
    return replace(overview, waiting=replace(overview.waiting, **facts))  # type: ignore[arg-type]
