"""The retry budget over real processes and a real Redis."""

from __future__ import annotations

import multiprocessing
import os
import time
from multiprocessing.pool import Pool

import pytest

from recovery import RetryBudget, RetryPolicy, TransientError
from recovery.connections import connect

pytestmark = [pytest.mark.processes, pytest.mark.real_redis]

PROCESSES = 4
CALLS = 2500
FLOOR = 1.0


def load(redis_url: str, failing_in_a_hundred: int) -> int:
    """Make CALLS calls of which so many in a hundred fail, each as often as it is tried; returns the attempts."""
    attempts = 0

    def upstream(number: int) -> None:
        nonlocal attempts
        attempts += 1
        if number % 100 < failing_in_a_hundred:
            raise TransientError("down")

    with connect(redis_url) as client:
        budget = RetryBudget(client, floor_per_second=FLOOR)
        retrying = RetryPolicy(max_attempts=4, initial_delay=0.0, max_delay=0.0).using(budget=budget, hooks=[])
        for number in range(CALLS):
            try:
                retrying.call(upstream, number)
            except TransientError:
                continue
    return attempts


@pytest.fixture
def pool() -> Pool:
    return multiprocessing.get_context("spawn").Pool(PROCESSES)


@pytest.mark.parametrize(("failing", "share"), [(100, 0.1), (50, 0.2), (5, 0.2)], ids=["total outage", "half", "a few"])
def test_retries_of_the_fleet_stay_within_their_share(redis_url: str, pool: Pool, failing: int, share: float) -> None:
    began = time.monotonic()
    with pool:
        attempts = sum(pool.starmap(load, [(redis_url, failing)] * PROCESSES))
    seconds = time.monotonic() - began
    calls = PROCESSES * CALLS
    retries = attempts - calls
    assert 0 < retries <= share * calls + FLOOR * seconds + 1


def test_a_forked_child_deposits_only_its_own_successes(redis_url: str) -> None:
    with connect(redis_url) as client:
        budget = RetryBudget(client, ratio=0.2, floor_per_second=0.0)
        for _ in range(50):
            budget.record_success()  # counted here, 10 tokens, not told to Redis yet
        child = os.fork()
        if child == 0:
            client.connection_pool.reset()
            granted = sum(budget.try_retry() for _ in range(30))
            os._exit(granted)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 1  # the new bucket's one token
        assert sum(budget.try_retry() for _ in range(30)) == 10
