"""The ways to call through a breaker, what counts, and what comes instead of a refused call."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest
from celery.exceptions import Ignore, Reject, Retry

from recovery.breaker import (
    BreakerEvent,
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitOpenError,
    CircuitState,
    LastGood,
    Override,
    configure_breakers,
    failures_except,
    failures_only,
    get_breaker,
    list_breakers,
)
from recovery.clock import ManualClock
from recovery.errors import ConfigurationError, TerminalError, TransientError
from tests.support.breaker.worlds import World, fail_times, work

ONCE = CircuitBreakerConfig(failure_threshold=1, timeout=5.0, success_threshold=1)


@pytest.mark.parametrize(
    "error",
    [
        Retry(),
        Ignore(),
        Reject(),
        SystemExit(),
        KeyboardInterrupt(),
        GeneratorExit(),
        asyncio.CancelledError(),
        TerminalError("bad signature"),
        CircuitOpenError("inner", 1.0),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_no_evidence_never_opens_it_and_gives_its_probe_back(world: World, error: BaseException) -> None:
    breaker = world.breaker(ONCE)

    def stop() -> None:
        raise error

    for _ in range(3):
        with pytest.raises(type(error)):
            breaker.call(stop)
    assert breaker.state() is CircuitState.CLOSED
    fail_times(breaker, 1)
    world.advance(5)
    for _ in range(3):
        with pytest.raises(type(error)):
            breaker.call(stop)
    assert breaker.state() is CircuitState.HALF_OPEN
    assert breaker.call(work) == "done"
    assert breaker.state() is CircuitState.CLOSED


def test_predicates_by_type(world: World) -> None:
    only = world.breaker(ONCE, name="only", failure=failures_only(TransientError))
    fail_times(only, 2)
    assert only.state() is CircuitState.CLOSED
    others = world.breaker(ONCE, name="others", failure=failures_except(ValueError))
    with pytest.raises(ValueError, match="invalid"):
        others.call(int, "x")
    assert others.state() is CircuitState.CLOSED
    fail_times(others, 1)
    assert others.state() is CircuitState.OPEN


def test_a_returned_value_may_be_a_failure(world: World) -> None:
    breaker = world.breaker(ONCE, failure_result=lambda status: status >= 500)
    assert breaker.call(lambda: 503) == 503
    assert breaker.state() is CircuitState.OPEN


def test_decorator_keeps_name_and_arguments(world: World) -> None:
    breaker = world.breaker(ONCE)

    @breaker
    def charge(amount: int, *, currency: str = "EUR") -> str:
        """Charge it."""
        return f"{amount} {currency}"

    assert charge(3, currency="CHF") == "3 CHF"
    assert (charge.__name__, charge.__doc__) == ("charge", "Charge it.")
    fail_times(breaker, 1)
    with pytest.raises(CircuitOpenError):
        charge(3)


def test_async_calls_follow_the_same_rules(world: World) -> None:
    breaker = world.breaker(CircuitBreakerConfig(failure_threshold=2, timeout=5.0, success_threshold=1))

    @breaker
    async def fetch(good: bool) -> str:
        await asyncio.sleep(0)
        if not good:
            raise OSError("ill")
        return "page"

    async def scenario() -> None:
        assert await fetch(True) == "page"
        for _ in range(2):
            with pytest.raises(OSError, match="ill"):
                await breaker.acall(fetch.__wrapped__, False)  # type: ignore[attr-defined]
        with pytest.raises(CircuitOpenError):
            await fetch(True)
        world.advance(5)
        async with breaker.permit():
            pass
        assert breaker.state() is CircuitState.CLOSED

    asyncio.run(scenario())


def test_async_calls_pass_while_one_of_them_asks_the_store(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    breaker = world.breaker(ONCE)
    breaker.call(work)
    world.advance(1)
    if world.kind != "local":
        answered, asked, scripts = threading.Event(), threading.Event(), world.redis.execute_command

        def slowly(*args: Any, **options: Any) -> Any:
            asked.set()
            assert answered.wait(60)
            return scripts(*args, **options)

        monkeypatch.setattr(world.redis, "execute_command", slowly)
    threads = []
    in_thread = asyncio.to_thread

    async def counted(*args: Any, **options: Any) -> Any:
        threads.append(args)
        return await in_thread(*args, **options)

    monkeypatch.setattr(asyncio, "to_thread", counted)

    async def scenario() -> None:
        if world.kind == "local":
            await breaker.acall(asyncio.sleep, 0)
            return
        first = asyncio.ensure_future(breaker.acall(asyncio.sleep, 0))
        await asyncio.sleep(0)
        # By what was known before: the first one's thread may not even have begun, or is not back yet.
        for late in range(20):
            while late == 10 and not asked.is_set():
                await asyncio.sleep(0.001)
            await breaker.acall(asyncio.sleep, 0)
        assert not first.done()
        answered.set()
        await first

    asyncio.run(scenario())
    assert len(threads) == (0 if world.kind == "local" else 1)


def test_a_cancelled_async_probe_gives_its_place_back(world: World) -> None:
    breaker = world.breaker(ONCE)
    fail_times(breaker, 1)
    world.advance(5)

    async def scenario() -> None:
        probe = asyncio.ensure_future(breaker.acall(asyncio.sleep, 60))
        await _until(world, lambda: breaker.snapshot().probes == 1)
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        await _until(world, lambda: breaker.snapshot().probes == 0)
        assert await breaker.acall(asyncio.sleep, 0, "awake") == "awake"

    asyncio.run(scenario())
    assert breaker.state() is CircuitState.CLOSED


async def _until(world: World, condition: Callable[[], bool]) -> None:
    for _ in range(40):  # 4 s of the world's time: less than the lease, so nothing gives way by itself
        if condition():
            return
        await asyncio.sleep(0.005)
        world.advance(0.1)
    raise AssertionError("not in time")


def test_fallbacks(world: World) -> None:
    value = world.breaker(ONCE, name="value", fallback=None)
    fail_times(value, 1)
    assert value.call(work) is None
    function = world.breaker(ONCE, name="function", fallback=lambda refused: refused.retry_after)
    fail_times(function, 1)
    assert function.call(work) == pytest.approx(5.0)


def test_last_good_answers_the_same_question_only(world: World) -> None:
    clock = ManualClock()
    breaker = world.breaker(ONCE, fallback=LastGood(max_entries=2, max_age=60, clock=clock))

    def balance(account: Any) -> str:
        return f"balance of {account}"

    for account in ("a", "b", "c"):
        breaker.call(balance, account)
    breaker.call(balance, ["not", "hashable"])
    fail_times(breaker, 1)
    assert breaker.call(balance, "c") == "balance of c"
    for unknown in ("a", "d", ["not", "hashable"]):
        with pytest.raises(CircuitOpenError):
            breaker.call(balance, unknown)
    clock.advance(61)
    with pytest.raises(CircuitOpenError):
        breaker.call(balance, "c")


def test_listeners_see_every_change_and_cannot_break_calls(world: World, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[BreakerEvent] = []

    def broken(event: BreakerEvent) -> None:
        raise RuntimeError("listener bug")

    breaker = world.breaker(ONCE, listeners=(broken, seen.append))
    fail_times(breaker, 1)
    world.advance(5)
    breaker.call(work)
    changes = [(event.before.value, event.after.value) for event in seen]
    assert changes == [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]
    assert "listener bug" in caplog.text
    assert "closed -> open (consecutive failures)" in caplog.text


def test_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(CircuitOpenError("ledger", 1.5, "probe failed")))  # noqa: S301
    assert (error.name, error.retry_after, error.reason) == ("ledger", 1.5, "probe failed")
    assert "1.500 s" in str(error)


def test_registry_hands_out_one_breaker_per_name(fleet: World) -> None:
    configure_breakers(redis=fleet.redis)
    try:
        ledger = get_breaker("ledger", ONCE)
        assert get_breaker("ledger") is ledger
        with pytest.raises(ConfigurationError, match="another config"):
            get_breaker("ledger", CircuitBreakerConfig())
        fail_times(ledger, 1)
        get_breaker("archive").override(Override.OPEN, "maintenance", duration=60, by="ops")
        archive, shown = list_breakers(fleet.redis)
    finally:
        configure_breakers()
    assert (shown.name, shown.state, shown.failures, shown.override) == ("ledger", CircuitState.OPEN, 1, None)
    assert shown.generation > 0
    assert (archive.name, archive.override_reason, archive.override_by) == ("archive", "maintenance", "ops")
    assert archive.override_ends_in == pytest.approx(60, abs=2)


def test_configuration_is_checked() -> None:
    for wrong in (
        {"failure_threshold": 0},
        {"timeout": 0},
        {"failure_rate": 1.5},
        {"slow_call_rate": 0.5},
        {"ramp_start": 0},
        {"timeout_growth": 0.5},
        {"timeout": float("nan")},
        {"quorum": 0},
    ):
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            CircuitBreakerConfig(**wrong)
    with pytest.raises(ConfigurationError, match="heavy_workload"):
        CircuitBreakerConfig.preset("nonsense")
    with pytest.raises(ConfigurationError, match="name"):
        CircuitBreaker("")


def test_presets_are_the_seeds() -> None:
    preset = CircuitBreakerConfig.preset("transaction")
    assert (preset.failure_threshold, preset.timeout, preset.success_threshold) == (10, 5.0, 3)
    assert CircuitBreakerConfig.preset("rpc", quorum=2).quorum == 2
