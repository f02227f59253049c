"""What a process counts for Prometheus: in files of a folder that all processes of an instance share.

Without that folder (`TRUNKLINE_METRICS_FOLDER`) nothing is counted, and prometheus_client is not even imported. A count
is kept for each process and summed up when it is read, so it needs no lock between processes and survives their ends.
The transactions of a message are counted once, together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from banking.execution.processor import BatchSummary
from banking.ledger.scripts import LUA
from config.metrics import METRICS, Kind, Metric, Source
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.errors import TransientError

#: What becomes of the transactions of a message.
OUTCOMES = ("ok", "failed", "refused", "duplicate", "parked", "dead", "malformed")
#: Seconds for which the difference between Redis' clock and this process's monotonic one is taken as known.
_CLOCK_AGE = 5.0


class ServerClock:
    """Redis' clock, read now and then and carried on by the monotonic one. `read` gives milliseconds."""

    def __init__(self, read: Callable[[], int], clock: Clock = SYSTEM_CLOCK) -> None:
        self._read = read
        self._clock = clock
        self._offset = 0.0
        self._known_until = float("-inf")

    def age(self, at_ms: int) -> float | None:
        """Seconds since `at_ms` on Redis' clock, at least 0; None when that clock cannot be read."""
        now = self._clock.monotonic()
        if now >= self._known_until:
            try:
                self._offset = self._read() / 1000 - now
            except TransientError:
                return None
            self._known_until = now + _CLOCK_AGE
        return max(0.0, now + self._offset - at_ms / 1000)


class Recorder:
    """The counts of this process. Made once in each, after a fork."""

    def __init__(self, folder: Path) -> None:
        from prometheus_client import CollectorRegistry, values

        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        make: Any = values.MultiProcessValue
        self._in_files = make()
        self._children: dict[tuple[str, ...], Any] = {}
        with self._kept_in_files():
            registry = CollectorRegistry()
            ours = [metric for metric in METRICS if metric.source is Source.PROCESS]
            self._metrics = {metric.name: _made(metric, registry) for metric in ours}
        for outcome in OUTCOMES:
            self._labelled("trunkline_transactions_total", outcome)
        self._conflicts = self._metrics["trunkline_conflicts_total"]
        self._batch = self._metrics["trunkline_batch_seconds"]
        self._latency = self._metrics["trunkline_processed_latency_seconds"]
        self._told = {name: (script.calls, script.seconds) for name, script in LUA.items()}
        self._tell_at = float("-inf")

    @contextmanager
    def _kept_in_files(self) -> Iterator[None]:
        """What is made within keeps its values in the folder, and not in this process's memory.

        By itself the library decides that once, when it is imported; Celery's command does so before any of our code.
        """
        from prometheus_client import values

        normal, values.ValueClass = values.ValueClass, self._in_files
        try:
            yield
        finally:
            values.ValueClass = normal

    def _labelled(self, name: str, *labels: str) -> Any:
        child = self._children.get((name, *labels))
        if child is None:
            with self._kept_in_files():
                child = self._children[name, *labels] = self._metrics[name].labels(*labels)
        return child

    def batch(self, summary: BatchSummary, seconds: float, latency: float | None) -> None:
        """Count a message's transactions. `latency` is from its enqueuing, None where that is not known."""
        failed = summary.failed
        broken = sum(failed.values())
        for outcome, count in (
            ("ok", summary.committed - broken),
            ("failed", broken),
            ("refused", summary.refused),
            ("duplicate", summary.duplicates),
            ("parked", summary.parked),
            ("dead", summary.dead),
            ("malformed", summary.malformed),
        ):
            if count > 0:
                self._labelled("trunkline_transactions_total", outcome).inc(count)
        for kind, count in failed.items():
            self._labelled("trunkline_onchain_errors_total", kind).inc(count)
        if summary.conflicted:
            self._conflicts.inc(summary.conflicted)
        self._batch.observe(seconds)
        if latency is not None and summary.committed:
            self._latency.observe(latency)
        self._tell_scripts()

    def retry(self, task: str) -> None:
        """Count that a task is tried again."""
        self._labelled("trunkline_retries_total", task).inc()

    def sealed(self, seconds: float, latency: float | None) -> None:
        """Count a block: how long sealing took, and how long ago its slot was closed, None where that is not known."""
        self._metrics["trunkline_seal_seconds"].observe(seconds)
        if latency is not None:
            self._metrics["trunkline_finalized_latency_seconds"].observe(latency)
        self._tell_scripts()

    def _tell_scripts(self) -> None:
        """Count what the scripts were called since it was told last: once a second, so that no message pays."""
        now = SYSTEM_CLOCK.monotonic()
        if now < self._tell_at:
            return
        self._tell_at = now + 1.0
        for name, script in LUA.items():
            calls, seconds = self._told[name]
            if script.calls > calls:
                self._told[name] = script.calls, script.seconds
                self._labelled("trunkline_script_calls_total", name).inc(script.calls - calls)
                self._labelled("trunkline_script_seconds_total", name).inc(script.seconds - seconds)

    def checkpoint(self, kind: str, seconds: float) -> None:
        """Count a checkpoint."""
        self._labelled("trunkline_checkpoint_seconds", kind).observe(seconds)

    def rpc_calls(self, counts: Mapping[tuple[str, str], int], seconds: Mapping[str, float]) -> None:
        """Add calls by method and result, and what they took by method."""
        for (method, result), count in counts.items():
            self._labelled("trunkline_rpc_calls_total", method, result).inc(count)
        for method, spent in seconds.items():
            self._labelled("trunkline_rpc_call_seconds_total", method).inc(spent)


def _made(metric: Metric, registry: Any) -> Any:
    from prometheus_client import Counter, Histogram

    if metric.kind is Kind.HISTOGRAM:
        return Histogram(metric.name, metric.meaning, metric.labels, registry=registry, buckets=metric.buckets)
    return Counter(metric.name, metric.meaning, metric.labels, registry=registry)


_recorder: tuple[int, Recorder | None] | None = None


def recorder(folder: Path | None) -> Recorder | None:
    """This process's counts in `folder`, None without one. A forked child gets its own."""
    global _recorder
    if _recorder is None or _recorder[0] != os.getpid():
        _recorder = os.getpid(), Recorder(folder) if folder is not None and folder.is_dir() else None
    return _recorder[1]
