"""The alerts: what an operator is woken for. One table for Flower's tab, for Prometheus' rules and for the runbook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from config import queues
from recovery.breaker import CircuitState
from workers.overview.diagnosis import LATE_BLOCK, LATE_WORK, span_text
from workers.overview.model import Overview

#: Parts of what may be used at which one is told before it is all used.
NEARLY = 0.8
OLD_CHECKPOINT = 600.0
#: Seconds without a sign of beat's.
SILENT_BEAT = 10.0


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `holds` says of a snapshot what is wrong, "" when nothing is; `expr` asks Prometheus the same.

    `wait` is how long it must hold before Prometheus tells somebody.
    """

    name: str
    severity: str
    summary: str
    holds: Callable[[Overview], str]
    expr: str
    wait: str = "1m"


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that holds now, and what is wrong in words."""

    name: str
    severity: str
    summary: str
    detail: str


def firing(overview: Overview) -> list[Firing]:
    """The alerts that hold of `overview`."""
    found = [(alert, alert.holds(overview)) for alert in ALERTS]
    return [Firing(alert.name, alert.severity, alert.summary, detail) for alert, detail in found if detail]


def _redis_away(overview: Overview) -> str:
    return overview.problem


def _breaker_open(overview: Overview) -> str:
    found = [breaker for breaker in overview.breakers if breaker.state is not CircuitState.CLOSED]
    return "; ".join(f"{breaker.name} is {breaker.state}" for breaker in found)


def _mode(overview: Overview) -> str:
    refused = [gate for gate in overview.gates if not gate.allowed]
    return "; ".join(f"{gate.component} is in mode {gate.mode} by {gate.who}" for gate in refused)


def _no_transaction_worker(overview: Overview) -> str:
    told = overview.problem or overview.consuming(queues.TRANSACTIONS) or _breaker_open(overview) or _mode(overview)
    return "" if told else "no worker takes transactions"


def _no_maintenance_worker(overview: Overview) -> str:
    return "" if overview.problem or overview.consuming(queues.MAINTENANCE) else "no worker takes maintenance"


def _beat_silent(overview: Overview) -> str:
    age = overview.waiting.beat_age if overview.waiting else None
    return f"it has said nothing for {span_text(age)}" if age is not None and age > SILENT_BEAT else ""


def _sealing_late(overview: Overview) -> str:
    age = overview.waiting.block_age if overview.waiting else None
    return f"the newest block is {span_text(age)} old" if age is not None and age > LATE_BLOCK else ""


def _archive(overview: Overview) -> str:
    return "a write was refused a moment ago" if overview.waiting and overview.waiting.archive_error else ""


def _backlog_old(overview: Overview) -> str:
    age = overview.waiting.oldest_age if overview.waiting else None
    return f"the oldest has waited {span_text(age)}" if age is not None and age > LATE_WORK else ""


def _letters(overview: Overview) -> str:
    return f"{overview.letters_share:.0%} of what is kept" if overview.letters_share >= NEARLY else ""


def _memory(overview: Overview) -> str:
    server = overview.server
    if server is None or not server.limit:
        return ""
    share = server.used / server.limit
    return f"{share:.0%} of maxmemory" if share >= NEARLY else ""


def _checkpoint_old(overview: Overview) -> str:
    note, waiting = overview.notes.get("checkpoint"), overview.waiting
    if note is None or waiting is None:
        return ""
    age = waiting.at - float(note["at"])
    return f"the newest is {span_text(age)} old" if age > OLD_CHECKPOINT else ""


def _checkpoint_bad(overview: Overview) -> str:
    bad = int(overview.notes.get("scrub", {}).get("bad", 0))
    return f"{bad} did not verify" if bad else ""


def _clock(overview: Overview) -> str:
    back = overview.waiting.clock_back if overview.waiting else 0.0
    return f"{span_text(back)} behind the latest time seen on it" if back else ""


ALERTS: tuple[Alert, ...] = (
    Alert(
        "TrunklineRedisAway", "critical", "The ledger's Redis does not answer.", _redis_away, "trunkline_up == 0", "15s"
    ),
    Alert(
        "TrunklineBreakerOpen",
        "critical",
        "A circuit breaker is not closed: work is held.",
        _breaker_open,
        "trunkline_breaker_state > 0",
        "15s",
    ),
    Alert(
        "TrunklineDegraded",
        "warning",
        "A mode refuses to run or to accept transactions.",
        _mode,
        "trunkline_operation_allowed == 0",
        "15s",
    ),
    Alert(
        "TrunklineNoTransactionWorker",
        "critical",
        "No worker takes transactions.",
        _no_transaction_worker,
        'trunkline_workers{queue="transactions"} == 0',
        "30s",
    ),
    Alert(
        "TrunklineNoMaintenanceWorker",
        "critical",
        "No worker seals blocks, sweeps or writes checkpoints.",
        _no_maintenance_worker,
        'trunkline_workers{queue="maintenance"} == 0',
        "30s",
    ),
    Alert(
        "TrunklineBeatSilent",
        "critical",
        "Beat does not run: nothing is sealed, swept or evaluated.",
        _beat_silent,
        f"trunkline_beat_age_seconds > {SILENT_BEAT:g}",
        "15s",
    ),
    Alert(
        "TrunklineSealingLate",
        "critical",
        "No block was made for a while: nothing becomes final.",
        _sealing_late,
        f"trunkline_block_age_seconds > {LATE_BLOCK:g}",
        "30s",
    ),
    Alert(
        "TrunklineArchiveNotWritable",
        "critical",
        "The archive refuses writes.",
        _archive,
        "trunkline_archive_writable == 0",
        "15s",
    ),
    Alert(
        "TrunklineBacklogOld",
        "warning",
        "Transactions wait too long.",
        _backlog_old,
        f"trunkline_oldest_queued_age_seconds > {LATE_WORK:g}",
    ),
    Alert(
        "TrunklineDeadLettersFilling",
        "warning",
        "The dead letters are nearly full; once full, nothing new is accepted.",
        _letters,
        f"trunkline_dead_letters_ratio >= {NEARLY:g}",
    ),
    Alert(
        "TrunklineRedisMemory",
        "warning",
        "Redis is nearly out of memory.",
        _memory,
        f"trunkline_redis_memory_used_bytes / (trunkline_redis_memory_limit_bytes > 0) >= {NEARLY:g}",
    ),
    Alert(
        "TrunklineCheckpointOld",
        "warning",
        "No checkpoint was written for a while: a restore takes longer.",
        _checkpoint_old,
        f"trunkline_checkpoint_age_seconds > {OLD_CHECKPOINT:g}",
        "5m",
    ),
    Alert(
        "TrunklineCheckpointBad",
        "critical",
        "A checkpoint in the archive does not verify.",
        _checkpoint_bad,
        "trunkline_checkpoints_bad > 0",
    ),
    Alert(
        "TrunklineClockBack",
        "warning",
        "The clock of Redis' host went back.",
        _clock,
        "trunkline_redis_clock_back_seconds > 0",
    ),
)
