"""A run in figures: what was injected, how long it took to work again, what clients saw."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from tests.chaos.checker.judge import Verdict
from tests.chaos.checker.violation import Violation
from tests.chaos.history import Row

#: Answers of the RPC that are no failure of the server: a failed preflight, a wrong parameter.
_TOLD = frozenset({-32002, -32003, -32602})
#: Faults in which a transaction worker or its pool child dies.
_KILLS = frozenset({"worker-kill", "worker-gone", "worker-child-kill"})
#: Never final: it is refused without a fee.
_REFUSED = "poor"


def figures(verdict: Verdict, rows: Sequence[Row], seeds: Sequence[int], how: str) -> dict[str, Any]:
    """Plain data for a JSON file; times in seconds."""
    faults = [row for row in rows if row["kind"] == "fault"]
    return {
        "seeds": list(seeds),
        "how": how,
        "load": round(os.getloadavg()[1], 1),
        "cycles": len({(row["cycle"], row["recovery"]) for row in faults}),
        "faults": len(faults),
        "kinds": kinds_of(rows, verdict.violations),
        "transactions": verdict.world.transactions,
        "answers": verdict.answers,
        "checkpoints": verdict.world.checkpoints,
        "violations": [str(one) for one in verdict.violations],
        "after_kills": _latencies(rows, [(row["t0"], row["t1"]) for row in faults if row["name"] in _KILLS]),
        **_availability(rows, [(row["t0"], row["t1"]) for row in faults if row["outage"]]),
    }


def kinds_of(rows: Sequence[Row], violations: Sequence[Violation]) -> dict[str, Any]:
    """For each kind its recovery times, alone and together with others, and the violations within its cycles."""
    kinds: dict[str, dict[str, Any]] = defaultdict(
        lambda: {"times": 0, "alone": [], "together": [], "violations": 0, "not_injected": 0}
    )
    processed = [row for row in rows if row["kind"] == "submit" and _is_processed(row)]
    for row in (row for row in rows if row["kind"] == "fault"):
        one = kinds[row["name"]]
        one["times"] += 1
        one["not_injected"] += bool(row["trouble"])
        one["alone" if row["alone"] else "together"].append(_recovery(row, processed))
        one["violations"] += sum(row["t0"] <= violation.at <= row["t1"] for violation in violations)
    return dict(sorted(kinds.items()))


def _recovery(row: Row, processed: Sequence[Row]) -> float:
    """Of an instant fault, alone: from its injection to the first transaction sent after it that is processed."""
    if row["instant"] and row["alone"]:
        since = row["lost_at"] or row["injected"]
        ends = [one["t1"] for one in processed if one["t0"] >= since]
        if ends:
            return float(round(min(ends) - since, 3))
    return float(row["recovery"])


def _is_processed(row: Row) -> bool:
    """Whether a call of `submit` saw the outcomes that it waited for."""
    return bool(row["txs"]) and all(one["level"] in ("processed", "finalized") or one["refused"] for one in row["txs"])


def _latencies(rows: Sequence[Row], spans: Sequence[tuple[float, float]]) -> list[float]:
    """Seconds from `submit` to processed, of the calls that were under way when a worker was killed, or just after."""
    return sorted(
        round(row["t1"] - row["t0"], 3)
        for row in rows
        if row["kind"] == "submit"
        and row.get("wait") == "processed"
        and any(first - 1.0 <= row["t0"] <= last for first, last in spans)
        and _is_processed(row)
    )


def _availability(rows: Sequence[Row], outages: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """What clients of the RPC saw: [good, all] calls, and [good, all] transactions seen through, outside outages."""

    def outside(row: Row) -> bool:
        return not any(first <= row["t1"] and row["t0"] <= last for first, last in outages)

    calls = [row for row in rows if row["kind"] == "rpc"]
    quiet = [row for row in calls if outside(row)]
    confirms = [row for row in rows if row["kind"] == "confirm" and not row["cut"]]
    wanted = [
        row["final"][signature]
        for row in confirms
        if outside(row)
        for signature, what in row["whats"].items()
        if what != _REFUSED
    ]
    return {
        "calls": [sum(map(_answered, quiet)), len(quiet)],
        "calls_in_all": [sum(map(_answered, calls)), len(calls)],
        "confirms": [sum(wanted), len(wanted)],
    }


def _answered(row: Row) -> bool:
    return not row["error"] or row["code"] in _TOLD
