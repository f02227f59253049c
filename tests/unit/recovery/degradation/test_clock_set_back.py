"""A server whose clock is set back an hour: rules and overrides last as long as they were meant to, not longer."""

from __future__ import annotations

import pytest
import redis

from recovery.clock import ManualClock
from recovery.degradation import DegradationManager, DegradationMode, Rule, SharedRules

HOUR = 3600.0
NORMAL, READ_ONLY, ESSENTIAL_ONLY, OFFLINE = DegradationMode
LATE = Rule("late", "ledger", "lag_s", enter=10, leave=2, mode=READ_ONLY, dwell=5)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "fake", pytest.param("real", marks=pytest.mark.real_redis)])
def manager(request: pytest.FixtureRequest, clock: ManualClock) -> DegradationManager:
    if request.param == "memory":
        return DegradationManager(clock=clock)
    if request.param == "real":
        client: redis.Redis = request.getfixturevalue("redis_client")
    else:
        import fakeredis

        client = fakeredis.FakeRedis(version=(6, 2))
    return DegradationManager(client, clock=clock, server_time=clock.time, poll_timeout=5.0)


def set_back(clock: ManualClock) -> None:
    clock.jump_wall(-HOUR)
    clock.advance(0.2)


def test_a_rule_lets_go_after_its_dwell(manager: DegradationManager, clock: ManualClock) -> None:
    rules = SharedRules(manager, [LATE])
    rules.evaluate({"lag_s": 50.0})
    set_back(clock)
    assert rules.evaluate({"lag_s": 0.0}) == [], "the dwell is kept"
    clock.advance(5.0)
    rules.evaluate({"lag_s": 0.0})
    assert manager.get_component_mode("ledger") is NORMAL


def test_a_flap_is_remembered_for_ten_minutes_and_no_longer(manager: DegradationManager, clock: ManualClock) -> None:
    rules = SharedRules(manager, [LATE])
    for value in (50.0, 0.0, 50.0):
        clock.advance(5.0)
        rules.evaluate({"lag_s": value})
    set_back(clock)
    rules.evaluate({"lag_s": 0.0})
    assert manager.get_component_mode("ledger") is READ_ONLY
    clock.advance(600.0)
    rules.evaluate({"lag_s": 0.0})
    assert manager.get_component_mode("ledger") is NORMAL


def test_an_override_ends_within_its_lifetime(manager: DegradationManager, clock: ManualClock) -> None:
    manager.set_component_mode("ledger", OFFLINE, duration=60.0)
    clock.advance(10.0)
    set_back(clock)
    assert manager.get_component_mode("ledger") is OFFLINE
    clock.advance(60.0)
    assert manager.get_component_mode("ledger") is NORMAL
    assert manager.history()[0].cause == "expired"


def test_one_without_an_end_has_none(manager: DegradationManager, clock: ManualClock) -> None:
    manager.set_component_mode("ledger", OFFLINE, reason="for good")
    set_back(clock)
    clock.advance(2 * HOUR)
    assert manager.get_component_mode("ledger") is OFFLINE
