"""The snapshot is read from a real ledger, and says what is wrong where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import fakeredis
import pytest
import redis

from banking.errors import LedgerUnavailable
from banking.ledger.observing import read_notes, waiting, whereabouts, write_note
from config.settings import Settings
from recovery.clock import ManualClock
from tests.support.ledgers import SOL, World, new_world
from workers.beat import SignOfLife
from workers.overview.broker_depth import BrokerDepth
from workers.overview.diagnosis import diagnose
from workers.overview.facts import overview_facts
from workers.overview.gathering import Gatherer


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    fake: redis.Redis = fakeredis.FakeRedis(version=(6, 2))
    yield fake
    fake.close()


@pytest.fixture
def gatherer(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Gatherer:
    for module in ("workers.overview.gathering", "recovery.degradation.manager"):
        monkeypatch.setattr(f"{module}.connect", lambda url, timeout=1.0: client)
    monkeypatch.setattr("recovery.degradation.store.fail_fast", lambda given, timeout: given)
    return Gatherer(Settings.from_variables(redis_url="redis://:secret@fake:6379/0", ledger="test"))


@pytest.fixture
def world(client: redis.Redis) -> World:
    return new_world(client, programs=False)


def test_a_ledger_is_read(gatherer: Gatherer, world: World) -> None:
    world.fund(3)
    found = gatherer.gather()
    assert found.problem == ""
    assert found.state is not None
    assert found.waiting is not None
    assert (found.state.processed, found.waiting.backlog, found.unsealed) == (3, 0, 3)
    assert found.gate("transactions") is not None
    facts = overview_facts(found, diagnose(found))
    assert facts["address"] == "redis://:***@fake:6379/0"
    assert facts["diagnosis"]["sentence"] == "Work has stopped: no worker takes transactions."


def test_no_ledger_is_said(gatherer: Gatherer) -> None:
    assert "There is no ledger named 'test'" in diagnose(gatherer.gather()).sentence


def test_a_redis_that_is_away_is_said_in_words(client: redis.Redis, gatherer: Gatherer, world: World) -> None:
    def away(*args: object, **options: object) -> None:
        raise redis.ConnectionError("Connection refused.")

    client.connection_pool.get_connection = away  # type: ignore[method-assign,assignment]
    told = diagnose(gatherer.gather())
    assert told.sentence == "Work has stopped: Redis at redis://:***@fake:6379/0 does not answer: Connection refused."
    assert "nothing that was accepted is lost" in told.fix


def test_beat_leaves_a_sign_once_a_second_and_leaves_a_redis_alone_that_is_away(
    gatherer: Gatherer, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    sign = SignOfLife(world.ledger, clock=clock)
    assert waiting(world.ledger).beat_age is None
    sign.leave()
    age = waiting(world.ledger).beat_age
    assert age is not None
    assert age < 60
    asked: list[float] = []

    def away() -> int:
        asked.append(clock.monotonic())
        raise LedgerUnavailable("away")

    monkeypatch.setattr(world.ledger, "server_ms", away)
    for _ in range(80):
        sign.leave()
        clock.sleep(0.1)
    assert [round(at) for at in asked] == [1, 6]


def test_retries_and_messages_that_are_left(gatherer: Gatherer, world: World) -> None:
    assert gatherer.gather().retries_left == 1.0
    unreachable = BrokerDepth(Settings.from_variables(redis_url="redis://fake:6379/0"))
    found = Gatherer(
        Settings.from_variables(redis_url="redis://fake:6379/0"), ledger=world.ledger, broker=unreachable
    ).gather()
    # A broker that cannot be reached tells nothing, and takes nothing else from the snapshot.
    assert (found.messages, found.problem) == ({}, "")


def test_notes_are_kept_with_the_servers_time(world: World) -> None:
    write_note(world.ledger, "scrub", {"bad": 0})
    note = read_notes(world.ledger)["scrub"]
    assert note["bad"] == 0
    assert note["at"] > 10**9


def test_where_a_transaction_is(world: World) -> None:
    [_] = world.fund(1)
    sent = world.transfer(world.faucet, world.faucet.pubkey(), SOL)
    before = whereabouts(world.ledger, sent.signature)
    assert (before.raw, before.outcome, before.refusal) == (None, None, None)
    world.stage.process([sent])
    after = whereabouts(world.ledger, sent.signature)
    assert after.outcome is not None
    assert after.outcome.ok
    assert after.finalized < after.outcome.slot
    world.seal()
    assert whereabouts(world.ledger, sent.signature).finalized == after.outcome.slot
