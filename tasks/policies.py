"""The pipeline's degradation rules: what its components do, and what closes them by itself."""

from __future__ import annotations

from recovery.degradation import DegradationMode, Rule

#: A span of more seconds than this is a broken clock, not a measurement; a ratio is seldom above 1, never far.
MAX_SPAN = 30 * 86_400.0
MAX_RATIO = 100.0


def _rule(name: str, component: str, signal: str, thresholds: tuple[float, float], *, dwell: float) -> Rule:
    """A rule that makes `component` read-only; `thresholds` are where it begins and where it ends."""
    enter, leave = thresholds
    return Rule(
        name=name,
        component=component,
        signal=signal,
        enter=enter,
        leave=leave,
        mode=DegradationMode.READ_ONLY,
        dwell=dwell,
        plausible=(0.0, MAX_SPAN if signal.endswith("_s") else MAX_RATIO),
    )


#: What the pipeline's components do, for status and dry runs: "intake" accepts transactions, "transactions" runs
#: them.
PIPELINE_OPERATIONS: dict[str, tuple[str, ...]] = {
    "intake": ("WRITE", "STATUS"),
    "transactions": ("WRITE",),
    "rpc": ("READ", "GET", "QUERY", "LIST", "WRITE", "HEALTH_CHECK", "STATUS"),
    "checkpoints": ("CREATE", "READ", "DELETE"),
}

#: The pipeline's automatic rules. No rule may refuse the very work that lets its signal recover: a long backlog, a
#: long open breaker or a filling Redis closes the intake, never the workers that must drain and probe.
PIPELINE_RULES: tuple[Rule, ...] = (
    # Seconds that the transaction breaker has been other than closed by its own rules, not by an operator.
    _rule("breaker-open", "intake", "breaker_open_s", (60.0, 0.0), dwell=10.0),
    # Seconds that the oldest queued transaction has waited; time in which an operator held it back does not count.
    _rule("backlog-age", "intake", "backlog_age_s", (120.0, 30.0), dwell=10.0),
    # Used memory of the ledger's Redis as a part of its limit. Executing and sealing free what intake took.
    _rule("redis-memory", "intake", "redis_memory_ratio", (0.85, 0.75), dwell=10.0),
    # 1 when the archive takes writes, 0 when not; and seconds since the newest block. What is not archived
    # exists only in Redis: wait rather than pile it up. Sealing itself is never refused, so both recover.
    _rule("archive-not-writable", "transactions", "archive_writable", (0.0, 1.0), dwell=5.0),
    _rule("sealing-late", "transactions", "seal_lag_s", (15.0, 3.0), dwell=5.0),
    # Free part of the archive's disk.
    _rule("disk-low", "intake", "disk_free_ratio", (0.05, 0.08), dwell=30.0),
    _rule("disk-full", "transactions", "disk_free_ratio", (0.02, 0.04), dwell=30.0),
)
