"""The promises of the shared breaker, kept by real processes and a real Redis."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest
import redis

from recovery.breaker import CircuitBreaker, CircuitBreakerConfig, CircuitState
from tests.support.breaker.fleet import Fleet, most_at_once
from tests.support.redis_servers import MakeRedis

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]

CONFIG = CircuitBreakerConfig(failure_threshold=3, timeout=60.0, success_threshold=1)


def wait_until(condition: Callable[[], bool], what: str, timeout: float = 20.0) -> float:
    """Seconds until `condition()` held; fails after `timeout`."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < timeout, f"not within {timeout:g} s: {what}"
        time.sleep(0.01)
    return time.monotonic() - start


def test_a_trip_reaches_all_processes(redis_url: str, redis_client: redis.Redis) -> None:
    with Fleet(8, redis_url, CONFIG) as fleet:
        delays = []
        for _ in range(6):
            for who in range(1, 8):
                fleet.send(who, "call_until_refused", 10.0)
            tripped = fleet.ask(0, "trip")
            delays += [fleet.receive(who) - tripped for who in range(1, 8)]
            CircuitBreaker("dep", CONFIG, redis_client).reset()
            wait_until(lambda: set(fleet.ask_all("state")) == {"closed"}, "all closed again")
        delays.sort()
        assert delays[-1] <= 1.0
        assert delays[int(len(delays) * 0.95) - 1] <= 0.15


def test_never_more_probes_than_configured(redis_url: str) -> None:
    config = CircuitBreakerConfig(failure_threshold=1, timeout=0.02, half_open_probes=3, snapshot_age=0.02)
    with Fleet(16, redis_url, config) as fleet:
        fleet.ask(0, "call", False)
        time.sleep(0.03)
        spans = [span for part in fleet.ask_all("probe_rounds", 4.0, 0.01) for span in part]
    assert len(spans) > 30
    assert 1 <= most_at_once(spans) <= 3


def test_a_killed_prober_cannot_wedge_it(redis_url: str) -> None:
    config = CircuitBreakerConfig(failure_threshold=1, timeout=0.1, success_threshold=1, probe_lease=1.0)
    with Fleet(2, redis_url, config) as fleet:
        fleet.ask(0, "call", False)
        wait_until(lambda: _try(fleet, 0, "hold"), "a probe is out")
        assert fleet.ask(1, "call") == "refused"
        fleet.kill(0)
        assert wait_until(lambda: fleet.ask(1, "call") == "ok", "recovered") <= 1.0 + 1.0
        assert fleet.ask(1, "state") == "closed"


def _try(fleet: Fleet, who: int, command: str) -> bool:
    time.sleep(0.2)  # past the open time
    return bool(fleet.ask(who, command) == "holding")


def test_a_result_from_before_the_trip_is_ignored(redis_url: str) -> None:
    config = CircuitBreakerConfig(failure_threshold=1, timeout=0.1, success_threshold=2, half_open_probes=1)
    with Fleet(2, redis_url, config) as fleet:
        assert fleet.ask(0, "hold") == "holding"  # an ordinary call: the breaker is closed
        fleet.ask(1, "call", False)
        wait_until(lambda: fleet.ask(1, "call") == "ok", "half-open")
        before = fleet.ask(1, "generation"), fleet.ask(1, "state")
        assert fleet.ask(0, "fail_held") == "failed"
        time.sleep(0.15)  # older than any snapshot
        assert (fleet.ask(1, "generation"), fleet.ask(1, "state")) == before
        assert before[1] == "half_open"
        fleet.ask(1, "call")
        assert fleet.ask(1, "state") == "closed"


def test_clients_clocks_an_hour_off_change_nothing(redis_url: str) -> None:
    config = CircuitBreakerConfig(failure_threshold=3, timeout=0.5, success_threshold=1)
    with Fleet(3, redis_url, config, clock_offsets=(-3600.0, 0.0, 3600.0)) as fleet:
        for _ in range(3):
            assert fleet.ask(0, "call", False) == "failed"
        wait_until(lambda: fleet.ask_all("state") == ["open"] * 3, "open everywhere", timeout=1.0)
        assert wait_until(lambda: fleet.ask(2, "call") == "ok", "probe after the open time") <= 1.5
        wait_until(lambda: fleet.ask_all("state") == ["closed"] * 3, "closed everywhere", timeout=1.0)


def test_redis_away_and_back(make_redis: MakeRedis) -> None:
    server = make_redis()
    with Fleet(4, server.url, CONFIG) as fleet:
        server.kill()
        slowest = fleet.ask_all("slowest_call", 1.5, True)
        assert max(slowest) <= 0.05 * 4  # 50 ms by design; the machine that runs the tests is shared
        assert sorted(slowest)[1] <= 0.05
        assert [fleet.ask(0, "call", False) for _ in range(4)] == ["failed"] * 3 + ["refused"]
        assert fleet.ask(1, "call") == "ok"
        server.restart()
        agreed = wait_until(lambda: set(fleet.ask_all("call")) == {"refused"}, "the same state everywhere")
        assert agreed <= 2.0
        wait_until(lambda: len(set(fleet.ask_all("generation"))) == 1, "the same generation")


def test_redis_that_hangs_costs_a_call_no_more_than_its_bound(make_redis: MakeRedis) -> None:
    server = make_redis()
    assert server.pid is not None
    breaker = CircuitBreaker("dep", CONFIG, server.url)
    breaker.call(int)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        delays = []
        for _ in range(150):
            started = time.monotonic()
            breaker.call(int)
            delays.append(time.monotonic() - started)
            time.sleep(0.01)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    delays.sort()
    assert 0.03 < delays[-1] < 0.2  # it did wait once
    assert delays[-5] < 0.05
    wait_until(lambda: breaker.snapshot().shared, "shared again", timeout=2.0)


def test_redis_emptied_while_open(redis_url: str, redis_client: redis.Redis) -> None:
    with Fleet(3, redis_url, CONFIG) as fleet:
        for _ in range(3):
            fleet.ask(0, "call", False)
        wait_until(lambda: fleet.ask_all("call") == ["refused"] * 3, "open everywhere")
        generation = fleet.ask(0, "generation")
        redis_client.flushall()

        def open_again() -> bool:
            assert fleet.ask_all("call") == ["refused"] * 3
            stored = redis_client.hmget("trunkline:breaker:dep", "state", "gen")
            return stored == [b"open", str(generation).encode()]

        wait_until(open_again, "open again", timeout=1.0)


def test_closed_costs_no_round_trips(redis_url: str, redis_client: redis.Redis) -> None:
    breaker = CircuitBreaker("dep", CONFIG, redis_url)
    breaker.call(int)
    breaker.flush()
    before = _scripts_run(redis_client)
    calls, end = 0, time.monotonic() + 1.0
    while time.monotonic() < end:
        breaker.call(int)
        calls += 1
    breaker.flush()
    assert _scripts_run(redis_client) - before <= min(12, calls / 100)
    assert int(redis_client.hget("trunkline:breaker:dep", "calls") or 0) == calls + 1


def _scripts_run(client: redis.Redis) -> int:
    stats = client.info("commandstats")
    return sum(int(stats.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("evalsha", "eval"))


def test_threads_lose_no_count_and_share_the_probes(redis_url: str, redis_client: redis.Redis) -> None:
    breaker = CircuitBreaker("dep", CONFIG, redis_url)
    threads = [threading.Thread(target=lambda: [breaker.call(int) for _ in range(2000)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    breaker.flush()
    assert int(redis_client.hget("trunkline:breaker:dep", "calls") or 0) == 16_000
    assert breaker.state() is CircuitState.CLOSED
