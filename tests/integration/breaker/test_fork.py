"""A breaker made before a fork works in parent and children, as under Celery's prefork pool."""

from __future__ import annotations

import os
import threading

import pytest
import redis

from recovery.breaker import CircuitBreaker, CircuitBreakerConfig, CircuitOpenError, CircuitState

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]

CONFIG = CircuitBreakerConfig(failure_threshold=3, timeout=60.0, success_threshold=1)


def _in_child(work: object) -> int:
    """Run `work` in a forked child; its exit status (0 when it returned, 1 when it raised)."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()  # type: ignore[operator]
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_children_count_their_own_calls_on_their_own_connections(redis_url: str, redis_client: redis.Redis) -> None:
    breaker = CircuitBreaker("dep", CONFIG, redis_url)
    for _ in range(10):
        breaker.call(int)  # 10 pending in the parent; a child must not report them again

    def child() -> None:
        assert breaker._control._pid == os.getpid()
        for _ in range(100):
            breaker.call(int)
        breaker.flush()

    assert [_in_child(child) for _ in range(4)] == [0] * 4
    breaker.flush()
    assert int(redis_client.hget("trunkline:breaker:dep", "calls") or 0) == 410
    assert breaker.state() is CircuitState.CLOSED


def test_a_trip_in_a_child_reaches_the_parent(redis_url: str) -> None:
    breaker = CircuitBreaker("dep", CONFIG, redis_url)
    breaker.call(int)

    def child() -> None:
        for _ in range(3):
            with pytest.raises(ValueError, match="invalid"):
                breaker.call(int, "x")
        with pytest.raises(CircuitOpenError):
            breaker.call(int)

    assert _in_child(child) == 0
    threading.Event().wait(0.1)  # the age of the parent's snapshot
    with pytest.raises(CircuitOpenError):
        breaker.call(int)


def test_a_fork_while_another_thread_refreshes_does_not_deadlock(redis_url: str) -> None:
    breaker = CircuitBreaker("dep", CONFIG, redis_url)
    stop = threading.Event()

    def refresh() -> None:
        while not stop.is_set():
            breaker.flush()

    thread = threading.Thread(target=refresh)
    thread.start()
    try:
        assert [_in_child(lambda: breaker.call(int)) for _ in range(20)] == [0] * 20
    finally:
        stop.set()
        thread.join()
