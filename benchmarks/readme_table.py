"""The README's table of figures, with goals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.sections import rows, spread, upkeep_share

Figures = Mapping[str, Any]


def table(results: Figures) -> str:
    """Each row with the command and the day of its figure; a part that was never run has no rows."""
    body: list[list[str]] = []
    for part, make in _ROWS.items():
        if part in results:
            found = results[part]
            source = f"`{_command(part)}`, {found['about']['on']}"
            body += [[what, measured, goal, source] for what, measured, goal in make(found)]
    return rows(["", "measured", "goal", "by"], body)


def _command(part: str) -> str:
    return "make bench" if part == "pipeline" else f"python -m benchmarks {part}"


Rows = list[tuple[str, str, str]]


def _pipeline(found: Figures) -> Rows:
    times, contenders, conflicts = found["times_bare"], found["contenders"], found["conflicts"]
    batch = contenders["batch"]
    grown = [
        last - found["resident_mib"]["first"][name]
        for name, last in found["resident_mib"]["last"].items()
        if name in found["resident_mib"]["first"]
    ]
    return [
        (
            "batches, `submit()` to processed, verified, sealing, checkpoints and pruning on, against bare Celery: CPU",
            spread(times["batch"]["CPU"], 1),
            "16",
        ),
        ("the same by the wall clock", spread(times["batch"]["wall"], 1), "16"),
        ("CPU a transaction, all processes", f"{spread(batch['total_us'])} us", "100 us"),
        ("of it Redis, broker included", f"{batch['cpu_us']['redis']:.0f} us", "15 us"),
        ("of it sealing, checkpoints and pruning", f"{upkeep_share(found):.0%}", "5 %"),
        (
            "one transaction a message, against bare Celery's INCR: CPU of workers and Redis; wall",
            f"{spread(times['single']['CPU of workers and Redis'], 2)}; {spread(times['single']['wall'], 2)}",
            "0.9; 0.95",
        ),
        (
            "one payer in every transaction, 4 workers, against none; rounds a batch, 2 workers, 1,000 accounts",
            f"{spread(conflicts['hot_against_none'], 2)}; {conflicts['rounds']['2 workers']:.2f}",
            "0.9; 1.1",
        ),
        (
            "Redis, bytes kept a transaction over 300 slots; archive",
            f"{found['redis_bytes_kept_per_transaction']:,}; {found['archive_bytes_per_transaction']:.0f}",
            "400",
        ),
        (f"most that a process grew over {found['transactions']:,} transactions", f"{max(grown):.0f} MiB", "flat"),
    ]


def _growth(found: Figures) -> Rows:
    million = found["accounts"]["1000000"]["cpu_us"]["redis"]
    return [
        ("CPU a transaction, 8 workers against 1", f"{found['cpu_8_workers_against_1']:.2f}", "1.25"),
        ("Redis with 1,000,000 accounts", f"{million:.0f} us", "18 us"),
        ("Redis, bytes an account", f"{found['redis_bytes_per_account']:.0f}", "100"),
    ]


def _startup(found: Figures) -> Rows:
    return [
        (
            "`trunkline up` until ready; 20,000 transfers of `make demo` through a kill",
            f"{found['up_to_ready_s']['median']:.1f} s; {found['demo_load_s']['median']:.1f} s",
            "3 s; 3 s",
        )
    ]


def _rpc(found: Figures) -> Rows:
    sends = {one["rate"]: one["processed"]["p95_ms"] for one in found["send_transaction"] if one["preflight"]}
    reads = found["get_balance"]["32 connections"]
    return [
        (
            "RPC: send to processed with preflight, p95 at 1,000/s; at 3,000/s",
            f"{sends[1000]:,.0f} ms; {sends[3000]:,.0f} ms",
            "25 ms; 100 ms",
        ),
        (f"RPC: getBalance, p95 at {reads['requests_per_s']:,}/s", f"{reads['p95_ms']:.1f} ms", "15 ms"),
    ]


def _durability(found: Figures) -> Rows:
    largest, finality = found["restore"][-1], found["finality"]
    return [
        (
            "accepted to finalized at 1,000/s, p50 and p99",
            f"{finality['p50_seconds']:.2f} s, {finality['p99_seconds']:.2f} s",
            "p99 1 s",
        ),
        (
            "restoring 1,000,000 accounts; a healthy boot's check",
            f"{largest['restore_seconds']:.1f} s; {largest['healthy_check_ms']:.1f} ms",
            "10 s; 50 ms",
        ),
        (
            "incremental checkpoint of 1,000 changes, against a full one of 1,000,000 accounts",
            f"{largest['incremental_share_of_full']:.3f}",
            "0.02",
        ),
    ]


def _breaker(found: Figures) -> Rows:
    closed, trips = found["closed_path"], found["trip_reaches_8_processes_ms"]
    names = ("trunkline", "pybreaker 1.4", "interlock-cb 2.8")
    return [
        (
            "breaker: added to a closed call; pybreaker 1.4; interlock-cb 2.8",
            "; ".join(f"{closed[name]['added_us']['median']:.1f} us" for name in names),
            "5 us",
        ),
        (
            "breaker: a trip reaches 95 % of 8 processes; pybreaker; interlock-cb",
            "; ".join(f"{trips[name]['p95']:.0f} ms" for name in names),
            "150 ms",
        ),
    ]


_ROWS = {
    "pipeline": _pipeline,
    "growth": _growth,
    "startup": _startup,
    "rpc": _rpc,
    "durability": _durability,
    "breaker": _breaker,
}
