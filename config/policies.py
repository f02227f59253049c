"""The presets of retry policies, circuit breakers and degradation modes, as plain data.

`recovery` builds its objects from these tables; times are in seconds.
"""

from __future__ import annotations

from typing import TypedDict


class RetryPreset(TypedDict):
    max_attempts: int
    initial_delay: float
    max_delay: float
    backoff_multiplier: float
    jitter_factor: float


class BreakerPreset(TypedDict):
    failure_threshold: int
    timeout: float
    success_threshold: int


def _retry(attempts: int, initial: float, longest: float, multiplier: float, jitter: float) -> RetryPreset:
    return RetryPreset(
        max_attempts=attempts,
        initial_delay=initial,
        max_delay=longest,
        backoff_multiplier=multiplier,
        jitter_factor=jitter,
    )


RETRY_PRESETS: dict[str, RetryPreset] = {
    "default": _retry(3, 0.100, 5.0, 2.0, 0.10),
    "rpc": _retry(3, 0.050, 2.0, 2.0, 0.10),
    "network": _retry(5, 0.100, 5.0, 1.5, 0.20),
    "storage": _retry(3, 0.200, 3.0, 2.0, 0.05),
}

BREAKER_PRESETS: dict[str, BreakerPreset] = {
    "default": BreakerPreset(failure_threshold=5, timeout=30.0, success_threshold=2),
    "rpc": BreakerPreset(failure_threshold=5, timeout=10.0, success_threshold=2),
    "transaction": BreakerPreset(failure_threshold=10, timeout=5.0, success_threshold=3),
    "heavy_workload": BreakerPreset(failure_threshold=20, timeout=60.0, success_threshold=5),
}

#: Case-insensitive parts of a message that mark an error as retryable when its type says nothing.
RETRYABLE_MESSAGE_PARTS: tuple[str, ...] = (
    "timeout",
    "connection",
    "network",
    "temporary",
    "transient",
    "unavailable",
    "busy",
    "overloaded",
    "rate limit",
    "throttle",
)

#: What each mode allows beside administrative operations, which are allowed in every mode.
ESSENTIAL_OPERATIONS: frozenset[str] = frozenset({"HEALTH_CHECK", "HEARTBEAT", "STATUS"})
READ_OPERATIONS: frozenset[str] = frozenset({"READ", "GET", "QUERY", "LIST", "FETCH"})
ADMINISTRATIVE_OPERATIONS: frozenset[str] = frozenset({"SHUTDOWN", "RESTART", "CONFIG_UPDATE"})


class RulePreset(TypedDict):
    """One automatic degradation rule; see `recovery.degradation.rules.Rule` for the meaning of each word."""

    name: str
    component: str
    signal: str
    enter: float
    leave: float
    mode: str
    dwell: float
    highest: float


#: A span of more seconds than this is a broken clock, not a measurement; a ratio is seldom above 1, never far.
LONGEST_SPAN = 30 * 86_400.0
HIGHEST_RATIO = 100.0


def _rule(
    name: str,
    component: str,
    signal: str,
    thresholds: tuple[float, float],
    *,
    mode: str = "READ_ONLY",
    dwell: float,
) -> RulePreset:
    enter, leave = thresholds
    return RulePreset(
        name=name,
        component=component,
        signal=signal,
        enter=enter,
        leave=leave,
        mode=mode,
        dwell=dwell,
        highest=LONGEST_SPAN if signal.endswith("_s") else HIGHEST_RATIO,
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
PIPELINE_RULES: tuple[RulePreset, ...] = (
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
