"""The manager's contract, the same in memory, on fakeredis and on a real server."""

from __future__ import annotations

import itertools
import json
import pickle
from collections.abc import Callable

import pytest
import redis

from recovery.clock import ManualClock
from recovery.degradation import (
    SYSTEM,
    DegradationManager,
    DegradationMode,
    InvalidName,
    OperationRefused,
    OperationType,
    Rule,
    SharedRules,
    UnknownMode,
    UnknownOperation,
)
from recovery.degradation.store import RedisStore

NORMAL, READ_ONLY, ESSENTIAL_ONLY, OFFLINE = DegradationMode

MakeManager = Callable[[], DegradationManager]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "fake", pytest.param("real", marks=pytest.mark.real_redis)])
def make(request: pytest.FixtureRequest, clock: ManualClock) -> MakeManager:
    """Makes managers that share one table (in memory: the only one)."""
    if request.param == "memory":
        only = DegradationManager(clock=clock)
        return lambda: only
    if request.param == "real":
        client = request.getfixturevalue("redis_client")
    else:
        import fakeredis

        client = fakeredis.FakeRedis(version=(6, 2))
    # Both times come from the same clock, as the server's and ours do.
    return lambda: DegradationManager(client, clock=clock, server_time=clock.time, poll_timeout=5.0)


def test_without_any_entry_everything_is_normal(make: MakeManager) -> None:
    manager = make()
    assert manager.get_component_mode("ledger") is NORMAL
    assert all(manager.is_operation_allowed("ledger", kind) for kind in OperationType)


def test_a_mode_rules_its_component_and_no_other(make: MakeManager, clock: ManualClock) -> None:
    manager, other = make(), make()
    assert manager.set_component_mode("ledger", "read_only", actor="ann") is READ_ONLY
    clock.advance(0.1)
    for each in (manager, other):
        assert each.get_component_mode("ledger") is READ_ONLY
        assert not each.is_operation_allowed("ledger", "WRITE")
        assert each.is_operation_allowed("ledger", OperationType.READ)
        assert each.is_operation_allowed("ledger", "SHUTDOWN")
        assert each.get_component_mode("rpc") is NORMAL


def test_the_strictest_of_system_component_and_operation_rules(make: MakeManager) -> None:
    manager = make()
    scopes = [(SYSTEM, None), (SYSTEM, "WRITE"), ("ledger", None), ("ledger", "WRITE")]
    for assignment in itertools.product((None, READ_ONLY, OFFLINE), repeat=4):
        for (component, operation), mode in zip(scopes, assignment, strict=True):
            if mode is None:
                manager.clear(component, operation=operation)
            else:
                manager.set_component_mode(component, mode, operation=operation)
        expected = max((mode for mode in assignment if mode is not None), default=NORMAL)
        assert manager.get_component_mode("ledger", "WRITE") is expected
        whole = max((mode for mode in assignment[::2] if mode is not None), default=NORMAL)
        assert manager.get_component_mode("ledger") is whole


def test_an_override_ends_by_itself_at_its_time(make: MakeManager, clock: ManualClock) -> None:
    manager = make()
    manager.set_component_mode("ledger", OFFLINE, actor="ann", reason="drill", duration=60.0)
    clock.advance(59.9)
    assert manager.get_component_mode("ledger") is OFFLINE
    clock.advance(0.2)
    assert manager.get_component_mode("ledger") is NORMAL
    ended, began = manager.history()
    assert (ended.cause, ended.was, ended.mode) == ("expired", "OFFLINE", "NORMAL")
    assert began.expires == pytest.approx(began.at + 60.0)


def test_clear_removes_exactly_its_scope(make: MakeManager) -> None:
    manager = make()
    manager.set_component_mode("ledger", READ_ONLY)
    manager.set_component_mode("ledger", OFFLINE, operation="WRITE")
    assert manager.clear("ledger")
    assert not manager.clear("ledger")
    assert manager.get_component_mode("ledger") is NORMAL
    assert manager.get_component_mode("ledger", "WRITE") is OFFLINE


def test_the_audit_log_says_who_what_from_to_why(make: MakeManager) -> None:
    manager = make()
    manager.set_component_mode("ledger", READ_ONLY, actor="ann", reason="disk swap")
    manager.set_component_mode("ledger", OFFLINE, actor="bob", reason="worse", operation="WRITE")
    manager.set_component_mode("ledger", ESSENTIAL_ONLY, actor="bob", reason="still")
    manager.clear("ledger", actor="cyd", reason="done")
    told = [
        (entry.cause, entry.actor, entry.component, entry.operation, entry.was, entry.mode, entry.reason)
        for entry in manager.history()
    ]
    assert told == [
        ("clear", "cyd", "ledger", "*", "ESSENTIAL_ONLY", "NORMAL", "done"),
        ("set", "bob", "ledger", "*", "READ_ONLY", "ESSENTIAL_ONLY", "still"),
        ("set", "bob", "ledger", "WRITE", "NORMAL", "OFFLINE", "worse"),
        ("set", "ann", "ledger", "*", "NORMAL", "READ_ONLY", "disk swap"),
    ]
    assert len(manager.history(limit=2)) == 2
    assert manager.history(component="rpc") == []
    assert not any(entry.automatic for entry in manager.history())


def test_a_refusal_says_when_to_come_back(make: MakeManager, clock: ManualClock) -> None:
    manager = make()
    manager.check("ledger", "WRITE")
    manager.set_component_mode("ledger", READ_ONLY, duration=3.0)
    clock.advance(1.0)
    with pytest.raises(OperationRefused, match="ledger is READ_ONLY") as refusal:
        manager.check("ledger", "WRITE")
    assert refusal.value.retry_after == pytest.approx(2.0)
    manager.set_component_mode("ledger", READ_ONLY)
    with pytest.raises(OperationRefused) as refusal:
        manager.check("ledger", "WRITE")
    assert refusal.value.retry_after == 5.0
    copy = pickle.loads(pickle.dumps(refusal.value))  # noqa: S301
    assert (copy.component, copy.operation, copy.retry_after) == ("ledger", "WRITE", 5.0)


def test_explain_names_the_override_or_the_rule_that_decides(make: MakeManager) -> None:
    manager = make()
    assert "nothing restricts it" in str(manager.explain("ledger", "WRITE"))
    rule = Rule("late", "ledger", "lag_s", enter=10, leave=2, mode=READ_ONLY, dwell=0)
    SharedRules(manager, [rule]).evaluate({"lag_s": 12.5})
    by_rule = manager.explain("ledger", "WRITE")
    assert not by_rule.allowed
    assert "rule late" in str(by_rule)
    assert "lag_s = 12.5" in str(by_rule)
    manager.set_component_mode(SYSTEM, OFFLINE, actor="ann", reason="drill", duration=60)
    both = manager.explain("ledger", "READ")
    assert both.mode is OFFLINE
    assert "override by ann that puts system in OFFLINE (drill), for another 60 s" in str(both)
    assert "Also in force: rule late" in str(both)
    assert "allowed in every mode" in str(manager.explain("ledger", "RESTART"))


def test_a_dry_run_lists_what_would_be_refused_and_changes_nothing(make: MakeManager) -> None:
    manager = make()
    manager.register("ledger", ["READ", "WRITE", "STATUS"])
    manager.register("rpc", ["QUERY"])
    assert manager.would_refuse("READ_ONLY") == [("ledger", OperationType.WRITE)]
    assert manager.would_refuse("ESSENTIAL_ONLY", "ledger") == [
        ("ledger", OperationType.READ),
        ("ledger", OperationType.WRITE),
    ]
    assert len(manager.would_refuse(OFFLINE, SYSTEM)) == 4
    assert manager.would_refuse(NORMAL) == []
    assert manager.get_component_mode("ledger") is NORMAL
    assert manager.history() == []


def test_status_shows_everything_as_plain_data(make: MakeManager) -> None:
    manager = make()
    manager.register("rpc", ["READ"])
    manager.set_component_mode("ledger", READ_ONLY, actor="ann", reason="drill", duration=60)
    manager.set_component_mode("ledger", OFFLINE, operation="FETCH", actor="bob")
    status = json.loads(json.dumps(manager.get_system_status()))
    assert status["system"] == "NORMAL"
    assert status["components"]["rpc"] == {"mode": "NORMAL", "operations": {}}
    assert status["components"]["ledger"] == {"mode": "READ_ONLY", "operations": {"FETCH": "OFFLINE"}}
    assert {(entry["actor"], entry["expires_in"]) for entry in status["entries"]} == {("ann", 60.0), ("bob", None)}
    assert status["redis_away_for"] is None


@pytest.mark.parametrize("duration", [0, -1.0, float("nan"), float("inf")])
def test_a_time_that_is_no_time_is_refused(make: MakeManager, duration: float) -> None:
    with pytest.raises(ValueError, match="duration"):
        make().set_component_mode("ledger", OFFLINE, duration=duration)


def test_wrong_names_are_errors(make: MakeManager) -> None:
    manager = make()
    with pytest.raises(UnknownOperation):
        manager.is_operation_allowed("ledger", "process_transaction")
    with pytest.raises(UnknownMode):
        manager.set_component_mode("ledger", "AWAY")
    for name in ("", "a/b", "a b", "x" * 101):
        with pytest.raises(InvalidName):
            manager.set_component_mode(name, OFFLINE)


def test_listeners_hear_of_changed_modes(make: MakeManager, clock: ManualClock) -> None:
    manager, other = make(), make()
    heard: list[tuple[str, str, str]] = []
    other.subscribe(lambda scope, was, now: heard.append((str(scope), was.name, now.name)))
    manager.set_component_mode("ledger", READ_ONLY)
    clock.advance(0.1)
    other.get_component_mode("ledger")
    manager.clear("ledger")
    clock.advance(0.1)
    other.get_component_mode("ledger")
    assert heard == [("ledger", "NORMAL", "READ_ONLY"), ("ledger", "READ_ONLY", "NORMAL")]


def test_a_listener_may_set_a_mode(make: MakeManager) -> None:
    manager = make()

    def follow(scope: object, _: DegradationMode, now: DegradationMode) -> None:
        if str(scope) == "ledger":
            manager.set_component_mode("rpc", now)

    manager.subscribe(follow)
    manager.set_component_mode("ledger", READ_ONLY)
    assert manager.get_component_mode("rpc") is READ_ONLY


def test_a_failing_listener_harms_nobody(make: MakeManager, caplog: pytest.LogCaptureFixture) -> None:
    manager = make()
    manager.subscribe(_forbidden)
    assert manager.set_component_mode("ledger", READ_ONLY) is READ_ONLY
    assert "a listener failed" in caplog.text


def test_a_dump_comes_back_after_a_loss_and_never_over_newer_modes(any_redis: redis.Redis) -> None:
    manager = DegradationManager(any_redis, poll_timeout=5.0)
    manager.set_component_mode("ledger", READ_ONLY, actor="ann", reason="drill")
    manager.set_component_mode("rpc", OFFLINE, duration=60.0)
    dump = json.loads(json.dumps(manager.dump()))
    assert not manager.load(dump), "nothing was lost"
    any_redis.flushall()
    for later in (DegradationManager(any_redis, poll_timeout=5.0), DegradationManager()):
        assert later.load(dump)
        assert not later.load(dump)
        assert "override by ann that puts ledger in READ_ONLY (drill)" in str(later.explain("ledger", "WRITE"))
        expires_in = later.explain("rpc", "READ").expires_in
        assert expires_in is not None
        assert 0.0 < expires_in <= 60.0


def test_the_same_change_sent_twice_is_one_change(any_redis: redis.Redis) -> None:
    """redis-py sends a command again when the reply was lost; the log must not show two overrides."""
    manager = DegradationManager(any_redis, poll_timeout=5.0)
    evalsha = any_redis.evalsha
    any_redis.evalsha = lambda *args: (evalsha(*args), evalsha(*args))[1]  # type: ignore[method-assign]
    manager.set_component_mode("ledger", OFFLINE)
    manager.set_component_mode("ledger", NORMAL)
    manager.clear("ledger")
    assert [entry.mode for entry in manager.history()] == ["NORMAL", "NORMAL", "OFFLINE"]


def test_between_two_looks_no_round_trip_is_made(any_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    manager = DegradationManager(any_redis, clock=clock, poll_timeout=5.0)
    manager.get_component_mode("ledger")
    monkeypatch.setattr(RedisStore, "poll", _forbidden)
    monkeypatch.setattr(RedisStore, "sync", _forbidden)
    clock.advance(0.099)
    for _ in range(1000):
        assert manager.is_operation_allowed("ledger", "WRITE")
    clock.advance(0.001)
    with pytest.raises(AssertionError, match="asked"):
        manager.is_operation_allowed("ledger", "WRITE")


def _forbidden(*_: object) -> None:
    raise AssertionError("asked the store")


def test_evaluators_on_different_machines_agree(make: MakeManager, clock: ManualClock) -> None:
    rule = Rule("late", "ledger", "lag_s", enter=10, leave=2, mode=OFFLINE, dwell=5)
    evaluators = [SharedRules(make(), [rule]) for _ in range(3)]

    def everybody(value: float) -> int:
        return sum(len(each.evaluate({"lag_s": value})) for each in evaluators)

    assert [everybody(50.0), everybody(50.0)] == [1, 0]
    clock.advance(5.0)
    assert everybody(50.0) == 1
    manager = make()
    assert manager.get_component_mode("ledger") is ESSENTIAL_ONLY
    clock.advance(5.0)
    assert everybody(0.0) == 1
    clock.advance(5.0)
    assert everybody(50.0) == 1, "a flap"
    clock.advance(599.0)
    assert everybody(0.0) == 0, "held strict after the flap, whoever evaluates"
    clock.advance(1.0)
    assert everybody(0.0) == 1
    log = manager.history()
    assert all(entry.automatic and entry.actor == "late" and "lag_s" in entry.reason for entry in log)
    assert len(log) == 5


def test_a_decision_from_an_old_view_is_dropped(any_redis: redis.Redis) -> None:
    """Two evaluators look, then both write: the second one's change was derived from an entry that is gone."""
    rule = Rule("late", "ledger", "lag_s", enter=10, leave=2, mode=OFFLINE, dwell=0)
    slow, quick = (DegradationManager(any_redis, poll_timeout=5.0) for _ in range(2))
    seen = slow.fresh()
    slow.fresh = lambda: seen  # type: ignore[method-assign]
    assert len(SharedRules(quick, [rule]).evaluate({"lag_s": 50.0})) == 1
    assert SharedRules(slow, [rule]).evaluate({"lag_s": 50.0}) == []
    assert quick.fresh().revision == 1
