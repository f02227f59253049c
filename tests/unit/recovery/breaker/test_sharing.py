"""What several processes and one Redis make of it: one state, few round trips, and life without Redis."""

from __future__ import annotations

import pytest

from recovery.breaker import BreakerStoreError, CircuitBreakerConfig, CircuitState, Override
from tests.support.breaker.worlds import World, assert_refused, fail, fail_times, work

CONFIG = CircuitBreakerConfig(failure_threshold=4, timeout=5.0, success_threshold=1)


def test_failures_of_all_count_together(fleet: World) -> None:
    one, two, idle = (fleet.breaker(CONFIG) for _ in range(3))
    idle.call(work)
    for _ in range(2):
        fail_times(one, 1)
        fail_times(two, 1)
    assert_refused(two)
    fleet.advance(0.1)
    assert_refused(one)
    assert_refused(idle)


def test_successes_elsewhere_do_not_hide_a_streak_from_its_own_process(fleet: World) -> None:
    sick, well = fleet.breaker(CONFIG), fleet.breaker(CONFIG)
    for _ in range(4):
        fleet.advance(0.1)
        well.call(work)
        fleet.advance(0.1)
        well.call(work)  # the refresh of this call tells Redis of the success before
        fail_times(sick, 1)
    assert_refused(sick)


def test_closed_path_asks_redis_once_in_a_snapshot_age(fleet: World) -> None:
    breaker = fleet.breaker(CONFIG)
    breaker.call(work)
    before = fleet.redis.scripts
    for _ in range(1000):
        fleet.advance(0.0001)
        breaker.call(work)
    assert fleet.redis.scripts - before == 1
    assert fleet.fields()["calls"] == "1000"


def test_open_answers_come_from_the_snapshot_too(fleet: World) -> None:
    breaker = fleet.breaker(CONFIG)
    fail_times(breaker, 4)
    before = fleet.redis.scripts
    for _ in range(1000):
        assert_refused(breaker)
    assert fleet.redis.scripts == before
    fleet.advance(0.1)
    assert_refused(breaker)
    assert fleet.fields()["rejected"] == "1000"


def test_a_quiet_refresh_writes_nothing(fleet: World) -> None:
    breaker = fleet.breaker(CONFIG)
    assert breaker.state() is CircuitState.CLOSED
    assert fleet.fields() == {}
    breaker.call(work)
    breaker.flush()
    assert fleet.redis.smembers("trunkline:breakers") == {b"dep"}
    before = fleet.fields()
    fleet.advance(1)
    breaker.state()
    assert fleet.fields() == before


def test_probes_are_shared(fleet: World) -> None:
    config = CircuitBreakerConfig(failure_threshold=1, timeout=1, half_open_probes=2)
    breakers = [fleet.breaker(config) for _ in range(5)]
    fail_times(breakers[0], 1)
    fleet.advance(1)
    with breakers[0].permit(), breakers[1].permit():
        for other in breakers[2:]:
            assert_refused(other)


def test_one_sick_node_opens_only_its_own_view(fleet: World) -> None:
    config = CircuitBreakerConfig(failure_threshold=3, timeout=5.0, success_threshold=1, quorum=2)
    sick, well = fleet.breaker(config, node="sick"), fleet.breaker(config, node="well")
    fail_times(sick, 3)
    assert "only here" in assert_refused(sick).reason
    fleet.advance(0.1)
    assert well.call(work) == "done"
    assert fleet.fields()["state"] == "closed"
    fleet.advance(5)
    sick.call(work)
    assert sick.state() is CircuitState.CLOSED


def test_a_quorum_opens_it_for_all(fleet: World) -> None:
    config = CircuitBreakerConfig(failure_threshold=3, timeout=5.0, quorum=2)
    one, two, three = (fleet.breaker(config, node=node) for node in ("a", "b", "c"))
    fail_times(one, 3)
    fail_times(two, 1)
    fleet.advance(0.1)
    assert_refused(three)
    assert fleet.fields()["state"] == "open"


def test_an_old_failure_makes_no_quorum(fleet: World) -> None:
    config = CircuitBreakerConfig(failure_threshold=3, timeout=5.0, quorum=2, window=10)
    one, two = fleet.breaker(config, node="a"), fleet.breaker(config, node="b")
    fail_times(one, 1)
    fleet.advance(11)
    fail_times(two, 3)
    assert fleet.fields()["state"] == "closed"


def test_without_redis_the_same_rules_hold_here(fleet: World) -> None:
    breaker = fleet.breaker(CONFIG)
    breaker.call(work)
    fleet.redis.away = True
    fleet.advance(0.1)
    breaker.call(work)
    fail_times(breaker, 4)
    assert_refused(breaker)
    assert not breaker.snapshot().shared
    fleet.advance(5)
    assert breaker.call(work) == "done"
    assert breaker.state() is CircuitState.CLOSED


@pytest.mark.parametrize("trouble", ["away", "lose_replies"])
def test_a_probe_that_ended_while_redis_was_away_holds_no_place(fleet: World, trouble: str) -> None:
    one, other = fleet.breaker(CONFIG), fleet.breaker(CONFIG)
    fail_times(one, 4)
    fleet.advance(5)
    if trouble == "away":

        def lose_redis() -> str:
            fleet.redis.away = True
            return fail()

        with pytest.raises(OSError, match="ill"):
            one.call(lose_redis)
    else:
        fleet.redis.lose_replies = True
        assert_refused(one)  # a probe was granted, and this process was not told
    fleet.redis.away = fleet.redis.lose_replies = False
    fleet.advance(2)
    one.flush()
    assert other.call(work) == "done"


def test_redis_is_left_alone_while_it_is_away(fleet: World) -> None:
    breaker = fleet.breaker(CONFIG)
    fleet.redis.away = True
    for _ in range(500):
        fleet.advance(0.01)
        breaker.call(work)
    assert fleet.redis.scripts <= 5 / 0.5 + 3


def test_open_stays_open_when_redis_goes_away(fleet: World) -> None:
    opener, other = fleet.breaker(CONFIG), fleet.breaker(CONFIG)
    fail_times(opener, 4)
    assert_refused(other)
    fleet.redis.away = True
    fleet.advance(3)
    assert assert_refused(other).retry_after == pytest.approx(2.0)
    fleet.advance(2.1)
    assert other.call(work) == "done"


def test_what_one_found_out_alone_reaches_all_when_redis_is_back(fleet: World) -> None:
    alone, other = fleet.breaker(CONFIG), fleet.breaker(CONFIG)
    other.call(work)
    alone.call(work)
    fleet.redis.away = True
    fleet.advance(0.1)
    fail_times(alone, 4)
    fleet.redis.away = False
    fleet.advance(0.5)
    assert_refused(alone)
    assert_refused(other)
    assert alone.snapshot().generation == other.snapshot().generation > 0


def test_one_slow_reply_while_half_open_does_not_make_a_process_probe_by_itself(fleet: World) -> None:
    config = CircuitBreakerConfig(failure_threshold=1, timeout=1, success_threshold=1)
    prober, other = fleet.breaker(config), fleet.breaker(config)
    fail_times(prober, 1)
    assert_refused(other)
    fleet.advance(1)
    with prober.permit():
        fleet.redis.lose_replies = True
        assert_refused(other)
        fleet.redis.lose_replies = False
        for _ in range(9):
            fleet.advance(0.1)
            assert_refused(other)


def test_emptied_while_open_whoever_knows_opens_it_again(fleet: World) -> None:
    knowing, fresh = fleet.breaker(CONFIG), fleet.breaker(CONFIG)
    fail_times(knowing, 4)
    generation = knowing.snapshot().generation
    fleet.redis.flushall()
    assert fresh.call(work) == "done"  # nobody has told yet
    fleet.advance(0.1)
    assert_refused(knowing)
    refused = assert_refused(fresh)
    assert refused.retry_after == pytest.approx(4.9)
    assert int(fleet.fields()["gen"]) == generation
    assert fleet.redis.smembers("trunkline:breakers") == {b"dep"}


def test_an_older_view_never_overrides_a_newer(fleet: World) -> None:
    old, new = fleet.breaker(CONFIG), fleet.breaker(CONFIG)
    fail_times(old, 4)
    assert_refused(new)
    fleet.advance(5)
    new.call(work)
    assert new.state() is CircuitState.CLOSED
    fleet.redis.flushall()
    fleet.advance(0.1)
    assert new.call(work) == "done"
    assert old.call(work) == "done"
    assert old.state() is CircuitState.CLOSED
    fleet.redis.flushall()
    assert old.call(work) == "done"


def test_a_forced_open_survives_the_loss_of_its_key(fleet: World) -> None:
    knowing, fresh = fleet.breaker(CONFIG), fleet.breaker(CONFIG)
    knowing.override(Override.OPEN, "maintenance", duration=60, by="ops")
    fleet.redis.flushall()
    fleet.advance(10)
    assert_refused(knowing)
    refused = assert_refused(fresh)
    assert (refused.reason, fresh.snapshot().override_by) == ("maintenance", "ops")
    assert refused.retry_after == pytest.approx(50)


def test_an_override_is_never_believed_set_when_it_was_not(fleet: World) -> None:
    breaker = fleet.breaker(CONFIG)
    fleet.redis.away = True
    with pytest.raises(BreakerStoreError, match="not set"):
        breaker.override(Override.OPEN, "maintenance")


def test_clocks_of_clients_an_hour_off_change_nothing(fleet: World) -> None:
    breakers = [fleet.breaker(CONFIG) for _ in range(3)]
    for clock, hours in zip(fleet.clocks, (-1, 0, 1), strict=True):
        clock.jump_wall(hours * 3600)
        clock._monotonic += 3600 * (hours + 1)
    for breaker in breakers:
        breaker.call(work)
    fail_times(breakers[0], 4)
    fleet.advance(0.1)
    assert [assert_refused(breaker).retry_after for breaker in breakers] == pytest.approx([4.9] * 3)
    fleet.advance(4.9)
    breakers[2].call(work)
    fleet.advance(0.1)
    assert [breaker.state() for breaker in breakers] == [CircuitState.CLOSED] * 3


def test_a_server_clock_set_back_cannot_keep_it_open(fleet: World) -> None:
    breaker = fleet.breaker(CONFIG)
    fail_times(breaker, 4)
    fleet.server_ms -= 3_600_000
    fleet.advance(0.1)
    assert_refused(breaker)
    fleet.advance(5)
    assert breaker.call(work) == "done"


def test_state_of_an_unused_breaker_runs_out_but_not_an_override(fleet: World) -> None:
    used, forced = fleet.breaker(CONFIG), fleet.breaker(CONFIG, name="forced")
    fail_times(used, 1)
    forced.override(Override.OPEN, "for good")
    assert 0 < fleet.redis.ttl("trunkline:breaker:dep") <= 7 * 86_400
    assert fleet.redis.ttl("trunkline:breaker:forced") == -1
