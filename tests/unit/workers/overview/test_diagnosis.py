"""One plain sentence says why work has stopped, and what to do; and the alerts that hold at the same time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from banking.ledger.observing import RestoreProgress
from banking.ledger.worker_registry import WorkerStatus
from recovery.breaker import CircuitState, Override
from tests.support.overviews import breaker, waits
from workers.overview.alerts import ALERTS, firing
from workers.overview.diagnosis import diagnose, span_text
from workers.overview.model import Gate, Overview


def told(overview: Overview) -> tuple[str, str, str]:
    found = diagnose(overview)
    return found.level, found.sentence, found.fix


def names(overview: Overview) -> list[str]:
    return [alert.name for alert in firing(overview)]


def test_all_is_well(healthy: Overview) -> None:
    assert told(healthy) == ("ok", "All is well: 1 worker takes transactions, and nothing waits.", "")
    assert firing(healthy) == []
    assert told(waits(healthy, backlog=999))[1] == "All is well: 1 worker takes transactions, 999 wait."


def test_redis_is_away(healthy: Overview) -> None:
    away = Overview("main", "redis://h", problem="Redis at redis://h does not answer: refused", fix="Start it.")
    assert told(away) == ("stopped", "Work has stopped: Redis at redis://h does not answer: refused.", "Start it.")
    assert names(away) == ["TrunklineRedisAway"]


def test_redis_is_out_of_memory(healthy: Overview) -> None:
    assert healthy.server is not None
    full = replace(healthy, server=replace(healthy.server, used=100 * 2**20, refuses="it is out of memory"))
    level, sentence, fix = told(full)
    assert (level, sentence) == ("stopped", "Work has stopped: Redis is out of memory, 100 MiB used of 100 MiB.")
    assert "maxmemory" in fix
    assert names(full) == ["TrunklineRedisMemory"]


def test_the_breaker_is_open(healthy: Overview) -> None:
    level, sentence, fix = told(replace(healthy, breakers=[breaker(CircuitState.OPEN)]))
    assert level == "stopped"
    assert sentence == (
        "Work has stopped: the breaker 'transaction' is open since 12 s (5 failures in a row); it probes again in 4 s."
    )
    assert "closes by itself" in fix


def test_somebody_opened_the_breaker(healthy: Overview) -> None:
    by_hand = breaker(
        CircuitState.OPEN, override=Override.OPEN, override_by="ann", override_reason="disk", override_ends_in=90.0
    )
    _, sentence, fix = told(replace(healthy, breakers=[by_hand]))
    assert sentence == ("Work has stopped: ann opened the breaker 'transaction' by hand, for another 1 min 30 s: disk.")
    assert "trunkline breaker reset transaction" in fix


def test_a_breaker_of_something_else_stops_nothing_here(healthy: Overview) -> None:
    other = replace(healthy, breakers=[breaker(CircuitState.OPEN, name="upstream")])
    assert told(other)[0] == "ok"
    assert names(other) == ["TrunklineBreakerOpen"]


def test_a_mode_refuses_transactions(healthy: Overview) -> None:
    gate = Gate("transactions", "WRITE", "READ_ONLY", False, True, "ann", "system", "night", 61.0, 600.0)
    level, sentence, fix = told(replace(healthy, gates=[gate]))
    assert (level, sentence) == (
        "stopped",
        "Work has stopped: transactions is in mode READ_ONLY since 1 min 1 s, set by ann, for another 10 min 0 s: "
        "night.",
    )
    # What is to be cleared is where it was set.
    assert "trunkline mode clear system" in fix


def test_a_rule_closes_the_intake(healthy: Overview) -> None:
    gate = Gate("intake", "WRITE", "READ_ONLY", False, False, "rule disk-low", "intake", "", 5.0)
    level, sentence, fix = told(replace(healthy, gates=[gate]))
    assert (level, sentence) == (
        "degraded",
        "Nothing new is accepted: intake is in mode READ_ONLY since 5 s, by rule disk-low; what was accepted before "
        "goes on.",
    )
    assert "rule disk-low ends by itself" in fix
    assert names(replace(healthy, gates=[gate])) == ["TrunklineDegraded"]


def test_nobody_takes_transactions(healthy: Overview) -> None:
    nobody = replace(healthy, workers=healthy.workers[1:])
    assert told(nobody)[1] == "Work has stopped: no worker takes transactions."
    assert "trunkline up" in told(nobody)[2]
    assert names(nobody) == ["TrunklineNoTransactionWorker"]
    waiting = replace(nobody, workers=[WorkerStatus("tx1@a", 1, (), 3, 1000.0, waits="for the archive")])
    assert "tx1@a waits: for the archive" in told(waiting)[1]


def test_nobody_seals(healthy: Overview) -> None:
    level, sentence, fix = told(replace(healthy, workers=healthy.workers[:1]))
    assert (level, sentence.partition(":")[0]) == ("degraded", "Nothing becomes final")
    assert "-Q maintenance" in fix


def test_sealing_is_late(healthy: Overview) -> None:
    late = waits(healthy, block_age=75.0)
    assert told(late)[1] == "Nothing becomes final: the newest block is 1 min 15 s old."
    assert names(late) == ["TrunklineSealingLate"]
    assert "beat" in told(late)[2]
    assert "archive refuses writes" in told(waits(healthy, archive_error=True))[1]


def test_intake_or_dead_letters_are_full(healthy: Overview) -> None:
    assert "intake is full, 1,000 transactions wait of 1,000" in told(waits(healthy, backlog=1000))[1]
    assert "the dead letters are full, 100 of them" in told(waits(healthy, dead=100))[1]
    assert names(waits(healthy, dead_bytes=8_000)) == ["TrunklineDeadLettersFilling"]
    assert healthy.state is not None
    behind = replace(healthy, state=replace(healthy.state, seq=1500, finalized_seq=900))
    assert "600 outcomes have no block yet" in told(behind)[1]


def test_work_is_late(healthy: Overview) -> None:
    late = waits(healthy, queued=7, oldest_age=45.0)
    assert "the oldest of 7 queued transactions has waited 45 s, and 1 worker take" in told(late)[1]
    assert names(late) == ["TrunklineBacklogOld"]


def test_a_restore_is_told(healthy: Overview) -> None:
    restoring = replace(healthy, state=None, restoring=True, progress=RestoreProgress("accounts", 5, 10, 3.4))
    assert told(restoring)[:2] == ("stopped", "Work has stopped: the ledger is being restored: 5 of 10 accounts.")
    assert "about 3 s" in told(restoring)[2]


def test_checkpoints_and_clocks_raise_alerts(healthy: Overview) -> None:
    assert names(replace(healthy, notes={"scrub": {"bad": 1, "at": 1.0}})) == ["TrunklineCheckpointBad"]
    assert names(replace(healthy, notes={"checkpoint": {"at": 100.0}})) == ["TrunklineCheckpointOld"]
    assert names(waits(healthy, clock_back=30.0)) == ["TrunklineClockBack"]


def test_every_alert_has_a_name_of_its_own() -> None:
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)
    assert {alert.severity for alert in ALERTS} == {"critical", "warning"}


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.9, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min"), (90_000, "1 d 1 h")]
)
def test_spans_for_people(seconds: float, text: str) -> None:
    assert span_text(seconds) == text
