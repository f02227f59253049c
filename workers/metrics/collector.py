"""The metrics that are read of the ledger: a snapshot as Prometheus' samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from config import queues
from config.metrics import METRICS, Kind, Source
from recovery.breaker import CircuitState
from recovery.degradation import DegradationMode
from workers.overview.model import Overview

#: The values of one metric: its labels' values beside each.
Samples = list[tuple[tuple[str, ...], float]]

_STATES = {CircuitState.CLOSED: 0, CircuitState.HALF_OPEN: 1, CircuitState.OPEN: 2}


class LedgerCollector:
    """A collector for a registry of prometheus_client. `overview` gives the snapshot, and must not wait long."""

    def __init__(self, overview: Callable[[], Overview]) -> None:
        self._overview = overview

    def collect(self) -> Iterator[Any]:
        """The families of all that could be read; what could not is left out, and `trunkline_up` is 0."""
        found = ledger_samples(self._overview())
        for metric in METRICS:
            samples = found.get(metric.name)
            if metric.source is not Source.LEDGER or samples is None:
                continue
            family = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
            made = family(metric.name, metric.meaning, labels=metric.labels)
            for labels, value in samples:
                made.add_metric(labels, value)
            yield made

    def describe(self) -> list[Any]:
        """Nothing: a registry would ask the ledger when it is made."""
        return []


def ledger_samples(overview: Overview) -> dict[str, Samples]:
    """The values of each metric that is read of the ledger, by name."""
    found: dict[str, Samples] = {
        "trunkline_up": _one(0 if overview.problem else 1),
        "trunkline_overview_seconds": _one(overview.took),
    }
    if overview.problem:
        return found
    found |= _state(overview) | _waiting(overview) | _server(overview) | _notes(overview)
    found["trunkline_workers"] = [
        ((queue,), len(overview.consuming(queue))) for queue in (queues.TRANSACTIONS, queues.MAINTENANCE)
    ]
    found["trunkline_workers_waiting"] = _one(sum(1 for worker in overview.workers if worker.waits))
    return found | _breakers(overview) | _modes(overview)


def _one(value: float) -> Samples:
    return [((), float(value))]


def _state(overview: Overview) -> dict[str, Samples]:
    state = overview.state
    if state is None:
        return {}
    ends = (("ok", state.processed), ("failed", state.failed), ("refused", state.refused))
    return {
        "trunkline_epoch": _one(state.epoch),
        "trunkline_slot": _one(state.slot),
        "trunkline_finalized_slot": _one(state.finalized),
        "trunkline_accepted_total": _one(state.accepted),
        "trunkline_outcomes_total": [((name,), count) for name, count in ends],
        "trunkline_unsealed_outcomes": _one(overview.unsealed),
    }


def _waiting(overview: Overview) -> dict[str, Samples]:
    waiting = overview.waiting
    if waiting is None:
        return {}
    found = {
        "trunkline_backlog": _one(waiting.backlog),
        "trunkline_parked": _one(waiting.parked),
        "trunkline_oldest_queued_age_seconds": _one(waiting.oldest_age or 0.0),
        "trunkline_dead_letters": _one(waiting.dead),
        "trunkline_dead_letters_ratio": _one(overview.letters_share),
        "trunkline_archive_writable": _one(0 if waiting.archive_error else 1),
        "trunkline_redis_clock_back_seconds": _one(waiting.clock_back),
    }
    if waiting.beat_age is not None:
        found["trunkline_beat_age_seconds"] = _one(waiting.beat_age)
    if overview.messages:
        found["trunkline_broker_messages"] = [((queue,), count) for queue, count in overview.messages.items()]
    if overview.retries_left is not None:
        found["trunkline_retry_budget"] = _one(overview.retries_left)
    if waiting.block_age is not None:
        found["trunkline_block_age_seconds"] = _one(waiting.block_age)
    return found


def _server(overview: Overview) -> dict[str, Samples]:
    server = overview.server
    if server is None:
        return {}
    return {
        "trunkline_redis_memory_used_bytes": _one(server.used),
        "trunkline_redis_memory_limit_bytes": _one(server.limit),
        "trunkline_redis_clients": _one(server.clients),
    }


def _notes(overview: Overview) -> dict[str, Samples]:
    notes, waiting = overview.notes, overview.waiting
    if waiting is None:
        return {}
    found: dict[str, Samples] = {}
    for note, name in (("checkpoint", "checkpoint"), ("scrub", "scrub"), ("restore", "restore")):
        if note in notes:
            found[f"trunkline_{name}_age_seconds"] = _one(max(0.0, waiting.at - float(notes[note]["at"])))
    if "checkpoint" in notes:
        found["trunkline_checkpoint_bytes"] = _one(notes["checkpoint"]["bytes"])
        found["trunkline_checkpoint_duration_seconds"] = _one(notes["checkpoint"]["seconds"])
    if "seconds" in notes.get("restore", {}):
        found["trunkline_restore_duration_seconds"] = _one(notes["restore"]["seconds"])
    if "scrub" in notes:
        found["trunkline_checkpoints_bad"] = _one(notes["scrub"]["bad"])
    return found


def _breakers(overview: Overview) -> dict[str, Samples]:
    all_of_them = overview.breakers
    return {
        "trunkline_breaker_state": [((one.name,), _STATES[one.state]) for one in all_of_them],
        "trunkline_breaker_transitions_total": [((one.name,), one.generation) for one in all_of_them],
        "trunkline_breaker_trips": [((one.name,), one.trips) for one in all_of_them],
        "trunkline_breaker_failures_in_a_row": [((one.name,), one.failures_in_a_row) for one in all_of_them],
    }


def _modes(overview: Overview) -> dict[str, Samples]:
    if overview.modes is None:
        return {}
    modes = {"system": overview.modes["system"]}
    modes |= {name: component["mode"] for name, component in overview.modes["components"].items()}
    return {
        "trunkline_mode": [((name,), DegradationMode[mode]) for name, mode in sorted(modes.items())],
        "trunkline_operation_allowed": [((gate.component,), float(gate.allowed)) for gate in overview.gates],
    }
