"""The tracker tells of each transaction's end once, however it ends."""

from __future__ import annotations

import fakeredis
import pytest
import redis
from solders.keypair import Keypair

from banking.intake.dead_letters import TransactionDeadLetters
from banking.transaction import SignedTransaction
from recovery.clock import ManualClock
from tests.support.ledgers import SOL, World, new_world
from workers.loadgen import tracking
from workers.loadgen.report import LoadReport, Speed
from workers.loadgen.tracking import OutcomeTracker


@pytest.fixture
def world() -> World:
    client: redis.Redis = fakeredis.FakeRedis(version=(6, 2))
    return new_world(client)


def transactions(world: World, count: int) -> list[SignedTransaction]:
    return [world.transfer(world.faucet, Keypair().pubkey(), SOL + number) for number in range(count)]


def watch(tracker: OutcomeTracker, some: list[SignedTransaction]) -> None:
    for tag, transaction in enumerate(some):
        tracker.add(str(transaction.parsed.signatures[0]), tag)


def test_outcomes_are_told_once_with_their_tags(world: World) -> None:
    clock = ManualClock()
    tracker = OutcomeTracker(world.ledger, clock=clock)
    some = transactions(world, 5)
    watch(tracker, some)
    world.stage.process([some[1], some[3]])
    clock.advance(0.5)
    found = tracker.poll()
    assert sorted((one.tag, one.seconds, one.outcome is not None) for one in found) == [(1, 0.5, True), (3, 0.5, True)]
    assert tracker.poll() == []
    assert tracker.outstanding == 3
    world.stage.process(some)
    assert {one.tag for one in tracker.poll()} == {0, 2, 4}
    assert tracker.outstanding == 0


def test_more_than_a_window_is_told_in_one_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_WINDOW", 3)
    tracker = OutcomeTracker(world.ledger)
    some = transactions(world, 8)
    watch(tracker, some)
    world.stage.process(some)
    assert {one.tag for one in tracker.poll()} == set(range(8))


def test_a_stuck_one_in_front_does_not_hide_those_behind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_WINDOW", 3)
    tracker = OutcomeTracker(world.ledger)
    some = transactions(world, 8)
    watch(tracker, some)
    world.stage.process(some[1:])
    told = {one.tag for _ in range(8) for one in tracker.poll()}
    assert told == set(range(1, 8))


def test_dead_letters_are_found_once_nothing_moves(world: World) -> None:
    clock = ManualClock()
    tracker = OutcomeTracker(world.ledger, clock=clock)
    [transaction] = transactions(world, 1)
    watch(tracker, [transaction])
    TransactionDeadLetters(world.ledger).add(transaction.signature, transaction.raw, "killed its worker", 3)
    assert tracker.poll() == []
    clock.advance(5)
    assert tracker.stalled == 5
    [found] = tracker.poll()
    assert (found.tag, found.outcome) == (0, None)
    assert tracker.outstanding == 0
    assert tracker.stalled == 0


def test_quantiles_and_speed() -> None:
    report = LoadReport(4, processed=3, failed=1, seconds=2.0)
    report.latencies.extend([0.4, 0.1, 0.3, 0.2])
    assert report.latency(0.5) == pytest.approx(0.3)
    assert report.latency(0.99) == pytest.approx(0.4)
    assert report.rate == 2.0
    assert report.complete
    assert not LoadReport(4, processed=3, dead=1).complete
    assert not LoadReport(4, processed=4, missing=1).complete
    speed = Speed(span=2.0)
    assert [round(speed.update(float(now), now * 10)) for now in range(6)] == [0, 10, 10, 10, 10, 10]
