"""Names, documents, rules and the dashboard agree; and every metric that is named is really made."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from banking.execution.places import Place
from banking.execution.processor import BatchSummary
from banking.ledger.scripts import LUA
from banking.ledger.worker_registry import WorkerStatus
from config.metrics import BY_NAME, METRICS, Kind, Source
from recovery.breaker import CircuitState
from tasks.metrics import Recorder, ServerClock, recorder
from tests.support.overviews import breaker, waits
from tests.support.paths import ROOT
from workers.metrics.collector import LedgerCollector, ledger_samples
from workers.metrics.reference import DOCUMENT, RULES, reference, rules
from workers.metrics.server import add_counts
from workers.overview.alerts import firing
from workers.overview.model import Gate, Overview

_NAME = re.compile(r"\btrunkline_[a-z_]+")
_SUFFIXES = ("_bucket", "_sum", "_count")
_MODES: Any = {"system": "NORMAL", "components": {"intake": {"mode": "READ_ONLY", "operations": {}}}}


@pytest.fixture
def full(healthy: Overview) -> Overview:
    """One of which everything is known."""
    notes = {"checkpoint": {"at": 990.0, "bytes": 5, "seconds": 0.1}, "scrub": {"at": 900.0, "bad": 0}}
    return replace(
        waits(healthy, beat_age=0.3),
        notes={**notes, "restore": {"at": 1.0, "seconds": 2.5}},
        breakers=[breaker(CircuitState.CLOSED)],
        modes=_MODES,
        messages={"transactions": 7, "maintenance": 0},
        retries_left=3.5,
    )


def base_name(name: str) -> str:
    """The metric that a sample belongs to."""
    for suffix in _SUFFIXES:
        if name.endswith(suffix) and BY_NAME.get(name.removesuffix(suffix), METRICS[0]).kind is Kind.HISTOGRAM:
            return name.removesuffix(suffix)
    return name


def test_the_documents_are_current() -> None:
    assert DOCUMENT.read_text() == reference(), "metrics have changed: run `make metrics`"
    assert RULES.read_text() == rules(), "alerts have changed: run `make metrics`"


def test_every_metric_that_a_deployed_file_names_exists() -> None:
    folders = (ROOT / "deploy" / "prometheus", ROOT / "deploy" / "grafana")
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    named = {
        (path.name, base_name(name))
        for path in files
        for name in _NAME.findall(re.sub(r"regex:.*", "", path.read_text()))
    }
    assert {(file, name) for file, name in named if name not in BY_NAME} == set()
    assert {"alerts.yml", "trunkline.json"} <= {file for file, _ in named}


def test_the_dashboard_shows_every_kind_of_thing() -> None:
    board = json.loads((ROOT / "deploy" / "grafana" / "trunkline.json").read_text())
    shown = {base_name(name) for name in _NAME.findall(json.dumps(board["panels"]))}
    assert {metric.name for metric in METRICS if metric.source is Source.PROCESS} - shown == {
        # Its newest value is shown, which Redis knows.
        "trunkline_checkpoint_seconds"
    }
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places)


def test_the_rules_are_what_prometheus_reads() -> None:
    loaded = yaml.safe_load(RULES.read_text())
    [group] = loaded["groups"]
    for rule in group["rules"]:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[smh]", rule["for"])
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    assert scraped["rule_files"] == ["alerts.yml"]


def test_names_say_their_units() -> None:
    assert len(BY_NAME) == len(METRICS)
    for metric in METRICS:
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER), metric.name
        assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM), metric.name
        if metric.kind is Kind.HISTOGRAM:
            assert metric.name.endswith("_seconds")


def test_what_is_read_of_the_ledger_is_all_there(full: Overview) -> None:
    assert set(ledger_samples(full)) == {metric.name for metric in METRICS if metric.source is Source.LEDGER}
    registry = CollectorRegistry()
    registry.register(LedgerCollector(lambda: full))
    text = generate_latest(registry).decode()
    assert 'trunkline_outcomes_total{outcome="failed"} 10.0' in text
    assert 'trunkline_workers{queue="transactions"} 1.0' in text
    assert "trunkline_checkpoint_age_seconds 10.0" in text
    assert "trunkline_up 1.0" in text
    assert 'trunkline_broker_messages{queue="transactions"} 7.0' in text
    assert "trunkline_retry_budget 3.5" in text
    assert "trunkline_beat_age_seconds 0.3" in text
    assert "trunkline_restore_duration_seconds 2.5" in text


def test_a_redis_that_is_away_is_a_metric(full: Overview) -> None:
    away = Overview("main", "unix:///r", problem="away")
    assert set(ledger_samples(away)) == {"trunkline_up", "trunkline_overview_seconds"}
    assert ledger_samples(away)["trunkline_up"] == [((), 0.0)]


def told_by_prometheus(overview: Overview) -> set[str]:
    """The alerts whose expressions hold of the samples of `overview`, as far as they compare one metric."""
    samples, found = ledger_samples(overview), set()
    for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]:
        parsed = re.fullmatch(r'(\w+)(?:\{(\w+)="(\w+)"\})? (==|>=|>) ([\d.]+)', rule["expr"])
        if parsed is None:
            assert rule["alert"] == "TrunklineRedisMemory", rule["expr"]
            continue
        name, _, label, sign, bound = parsed.groups()
        for labels, value in samples.get(name, []):
            holds = {"==": value == float(bound), ">": value > float(bound), ">=": value >= float(bound)}[sign]
            if holds and label in (None, *labels):
                found.add(rule["alert"])
    return found


def test_prometheus_and_the_tab_tell_the_same(full: Overview) -> None:
    gate = Gate("transactions", "WRITE", "READ_ONLY", False, True, "ann", "system")
    cases = [
        full,
        Overview("main", "unix:///r", problem="away"),
        replace(full, breakers=[breaker(CircuitState.OPEN)]),
        replace(full, gates=[gate]),
        replace(full, workers=full.workers[1:]),
        replace(full, workers=full.workers[:1]),
        waits(full, block_age=60.0),
        waits(full, archive_error=True),
        waits(full, beat_age=60.0),
        waits(full, oldest_age=60.0),
        waits(full, dead=90),
        waits(full, clock_back=5.0),
        replace(full, notes={**full.notes, "scrub": {"at": 1.0, "bad": 2}}),
        replace(full, notes={**full.notes, "checkpoint": {"at": 1.0, "bytes": 1, "seconds": 1.0}}),
        replace(full, workers=[WorkerStatus("tx1", 1, (), None, 1.0, "for the archive"), full.workers[1]]),
    ]
    seen: set[str] = set()
    for case in cases:
        shown = {alert.name for alert in firing(case)}
        assert told_by_prometheus(case) == shown
        seen |= shown
    assert len(seen) == 13


def recorded(folder: Path) -> str:
    registry = CollectorRegistry()
    add_counts(registry, folder)
    return generate_latest(registry).decode()


def test_counts_of_several_processes_add_up_and_outlive_them(tmp_path: Path) -> None:
    summary = BatchSummary(
        committed=64, refused=1, parked=2, places=(Place(1, 1, 64),), kinds=(("AccountInUse", 3),), conflicted=5
    )
    for _ in range(2):
        if (child := os.fork()) == 0:
            counts = recorder(tmp_path)
            assert counts is not None
            LUA["commit"].calls += 3
            LUA["commit"].seconds += 0.25
            counts.batch(summary, 0.01, 0.2)
            counts.retry("transactions.process_batch")
            counts.sealed(0.02, 0.05)
            counts.checkpoint("full", 1.0)
            counts.rpc_calls({("getSlot", "ok"): 2}, {"getSlot": 0.5})
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    text = recorded(tmp_path)
    assert 'trunkline_transactions_total{outcome="ok"} 122.0' in text
    assert 'trunkline_transactions_total{outcome="failed"} 6.0' in text
    assert 'trunkline_onchain_errors_total{kind="AccountInUse"} 6.0' in text
    assert "trunkline_conflicts_total 10.0" in text
    assert 'trunkline_script_calls_total{script="commit"} 6.0' in text
    assert 'trunkline_script_seconds_total{script="commit"} 0.5' in text
    assert 'trunkline_rpc_calls_total{method="getSlot",result="ok"} 4.0' in text
    assert "trunkline_processed_latency_seconds_count 2.0" in text
    assert {base_name(name) for name in re.findall(r"^(trunkline_\w+)", text, flags=re.MULTILINE)} == {
        metric.name for metric in METRICS if metric.source is Source.PROCESS
    }


def test_nothing_is_counted_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.metrics._recorder", None)
    assert recorder(None) is None
    monkeypatch.setattr("tasks.metrics._recorder", None)
    assert recorder(tmp_path / "gone") is None


def test_counting_leaves_other_metrics_of_the_process_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower, or a user's own metrics, in the same process stay in its memory."""
    from prometheus_client import Counter

    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    Recorder(tmp_path)
    Counter("mine_total", "mine", registry=CollectorRegistry()).inc()
    assert "mine" not in recorded(tmp_path)


def test_latency_is_told_on_the_servers_clock() -> None:
    class Clock:
        now = 100.0

        def monotonic(self) -> float:
            return self.now

    clock, asked = Clock(), []

    def read() -> int:
        asked.append(clock.now)
        return int((clock.now + 5000.0) * 1000)

    server = ServerClock(read, clock)  # type: ignore[arg-type]
    assert server.age(5_099_500) == pytest.approx(0.5)
    clock.now = 101.0
    assert server.age(5_099_500) == pytest.approx(1.5)
    # Of the future: never below 0, and the server is not asked again for a while.
    assert server.age(9_999_999) == 0.0
    assert asked == [100.0]
