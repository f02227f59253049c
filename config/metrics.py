"""Every metric by its name and meaning: what processes count, and what is read of the ledger (docs/metrics.md)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Prometheus' kinds. A counter only grows, a gauge is the value now, a histogram has buckets, a sum and a count."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Source(StrEnum):
    """Who knows it: each process counts for itself, or it is read of the ledger and the same wherever it is asked."""

    PROCESS = "process"
    LEDGER = "ledger"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. The name of a time ends in `_seconds`, of a size in `_bytes`, of a counter in `_total`."""

    name: str
    kind: Kind
    source: Source
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_LONG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


def _counter(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, Source.PROCESS, meaning, labels)


def _histogram(name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Metric:
    return Metric(name, Kind.HISTOGRAM, Source.PROCESS, meaning, labels, buckets)


def _gauge(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(name, Kind.GAUGE, Source.LEDGER, meaning, labels)


def _total(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, Source.LEDGER, meaning, labels)


METRICS: tuple[Metric, ...] = (
    # ---- counted by workers, once a batch
    _counter(
        "trunkline_transactions_total",
        "transactions that messages brought, by what became of them: `ok`, `failed` (an error on chain), `refused` "
        "(without a fee), `duplicate`, `parked`, `dead`, `malformed`",
        "outcome",
    ),
    _counter("trunkline_onchain_errors_total", "outcomes that are errors, by the kind of error", "kind"),
    _counter("trunkline_conflicts_total", "executions that lost their accounts to another transaction and ran again"),
    _histogram("trunkline_batch_seconds", "how long a worker took for one message", _SHORT),
    _histogram(
        "trunkline_processed_latency_seconds",
        "from a message's enqueuing (its transactions' acceptance, unless they came again) to their outcomes, on "
        "Redis' clock; one observation a message",
        _LONG,
    ),
    _counter("trunkline_retries_total", "attempts of tasks that failed and are tried again", "task"),
    # ---- counted by the maintenance workers
    _histogram("trunkline_seal_seconds", "how long it took to close a slot and put its block into the archive", _SHORT),
    _histogram(
        "trunkline_finalized_latency_seconds",
        "from the closing of a slot, behind its last outcome, to its block in the archive, on Redis' clock; an outcome "
        "waits besides for the rest of its slot. One observation a block",
        _LONG,
    ),
    _histogram("trunkline_checkpoint_seconds", "how long it took to write a checkpoint", _LONG, "kind"),
    # ---- counted by RPC servers
    _counter(
        "trunkline_rpc_calls_total",
        "calls of a method over HTTP or a websocket, by their end: `ok`, the code of the JSON-RPC error, or "
        "`abandoned`",
        "method",
        "result",
    ),
    _counter("trunkline_rpc_call_seconds_total", "time from the parsing of a call to its answer, summed up", "method"),
    # ---- counted by workers and told once a second
    _counter("trunkline_script_calls_total", "calls of the ledger's Lua scripts by workers", "script"),
    _counter(
        "trunkline_script_seconds_total",
        "time from such a call to its answer, summed up: what Redis took for it, and what lies between",
        "script",
    ),
    # ---- read of the ledger
    _gauge("trunkline_up", "1 when the ledger's Redis answers and has the ledger, else 0"),
    _gauge("trunkline_epoch", "the epoch that is served; each restore begins one"),
    _gauge("trunkline_slot", "the open slot"),
    _gauge("trunkline_finalized_slot", "the newest slot whose block is in the archive"),
    _gauge("trunkline_block_age_seconds", "since the newest block was first seen"),
    _total("trunkline_accepted_total", "transactions that intake accepted, since the ledger began"),
    _total("trunkline_outcomes_total", "recorded ends, since the ledger began: `ok`, `failed`, `refused`", "outcome"),
    _gauge("trunkline_unsealed_outcomes", "outcomes that no block in the archive has yet"),
    _gauge("trunkline_backlog", "accepted transactions without an outcome"),
    _gauge("trunkline_parked", "those of them that may not run before a certain time"),
    _gauge(
        "trunkline_oldest_queued_age_seconds", "how long the oldest queued transaction has waited; 0 when none does"
    ),
    _gauge("trunkline_dead_letters", "dead letters"),
    _gauge("trunkline_dead_letters_ratio", "how full they are, by number or bytes: at 1 nothing is accepted"),
    _gauge("trunkline_broker_messages", "messages that wait in the broker, by queue", "queue"),
    _gauge(
        "trunkline_beat_age_seconds",
        "since beat last looked at what is due; not there when it did not for a day",
    ),
    _gauge("trunkline_retry_budget", "retries that the fleet's budget has left; at 0 failed work waits"),
    _gauge("trunkline_workers", "workers that consume a queue, by queue", "queue"),
    _gauge("trunkline_workers_waiting", "workers that live and wait for the ledger or its archive"),
    _gauge("trunkline_breaker_state", "0 closed, 1 half-open, 2 open, by breaker", "breaker"),
    _total("trunkline_breaker_transitions_total", "changes of a breaker's state, by the whole fleet", "breaker"),
    _gauge("trunkline_breaker_trips", "how often it opened in a row without closing in between", "breaker"),
    _gauge("trunkline_breaker_failures_in_a_row", "failures since the last success", "breaker"),
    _gauge(
        "trunkline_mode", "the mode of a component: 0 NORMAL, 1 READ_ONLY, 2 ESSENTIAL_ONLY, 3 OFFLINE", "component"
    ),
    _gauge(
        "trunkline_operation_allowed", "1 when the component may write, else 0: `intake`, `transactions`", "component"
    ),
    _gauge("trunkline_archive_writable", "0 when the archive refused a write a moment ago, else 1"),
    _gauge("trunkline_checkpoint_age_seconds", "since the newest checkpoint was written"),
    _gauge("trunkline_checkpoint_bytes", "its size in the archive"),
    _gauge("trunkline_checkpoint_duration_seconds", "how long it took"),
    _gauge("trunkline_checkpoints_bad", "checkpoints that the newest scrub could not verify"),
    _gauge("trunkline_scrub_age_seconds", "since the checkpoints were last read back"),
    _gauge("trunkline_restore_age_seconds", "since the newest restore"),
    _gauge("trunkline_restore_duration_seconds", "how long it took"),
    _gauge("trunkline_redis_memory_used_bytes", "memory that the ledger's Redis uses"),
    _gauge("trunkline_redis_memory_limit_bytes", "its `maxmemory`, 0 without one"),
    _gauge("trunkline_redis_clients", "connections that it has"),
    _gauge("trunkline_redis_clock_back_seconds", "how far its clock is behind the latest time that was seen on it"),
    _gauge("trunkline_overview_seconds", "how long reading all this took"),
)

BY_NAME = {metric.name: metric for metric in METRICS}
