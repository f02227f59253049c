"""Open or degraded means held, not burned: with real workers, a closed gate loses nothing and uses up no attempt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from banking.ledger.keys import LedgerKeys
from recovery.breaker import CircuitBreaker, CircuitBreakerConfig, Override
from recovery.degradation import DegradationManager, DegradationMode
from tests.support.pipelines import MakePipeline, Pipeline
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes

Act = Callable[[], object]


def modes(pipeline: Pipeline) -> DegradationManager:
    prefix = LedgerKeys(pipeline.settings.ledger.name).prefix
    return DegradationManager(pipeline.settings.redis.url, namespace=f"{prefix}:modes")


def breaker(pipeline: Pipeline) -> CircuitBreaker:
    prefix = LedgerKeys(pipeline.settings.ledger.name).prefix
    config = CircuitBreakerConfig.preset("transaction")
    return CircuitBreaker("transaction", config, redis=pipeline.settings.redis.url, namespace=prefix)


def held(pipeline: Pipeline) -> int:
    waiting: Any = pipeline.client.llen("transactions")
    parked: Any = pipeline.client.zcard(pipeline.ledger.keys.parked)
    return int(waiting) + int(parked)


@pytest.mark.parametrize("kind", ["mode", "breaker"])
def test_closed_gate_holds_everything_and_burns_nothing(make_pipeline: MakePipeline, kind: str) -> None:
    pipeline = make_pipeline()
    workers = pipeline.start(2)
    manager, shared = modes(pipeline), breaker(pipeline)
    close: dict[str, Act] = {
        "mode": lambda: manager.set_component_mode("transactions", DegradationMode.READ_ONLY, reason="test"),
        "breaker": lambda: shared.override(Override.OPEN, "test"),
    }
    reopen: dict[str, Act] = {"mode": lambda: manager.clear("transactions"), "breaker": shared.reset}
    close[kind]()
    # Once the workers know, they stop taking messages; until then a message that was taken is parked.
    before = pipeline.resolved()
    transactions = pipeline.transfers(200)
    pipeline.submit(transactions)
    wait_until(lambda: held(pipeline) > 0, "messages wait in their queue, or are parked")
    slot = pipeline.ledger.state().slot
    wait_until(lambda: pipeline.ledger.state().slot >= slot + 3, "time passes")
    assert pipeline.resolved() == before
    assert pipeline.client.hlen(pipeline.ledger.keys.intake) == len(transactions)
    assert not pipeline.client.exists(pipeline.ledger.keys.dead)
    reopen[kind]()
    pipeline.assert_sound(transactions)
    pipeline.assert_alive(workers)
    assert not pipeline.letters()


def test_breaker_forced_open_for_a_while_lets_all_finish_by_itself(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline()
    pipeline.start(1)
    breaker(pipeline).override(Override.OPEN, "test", duration=2.0)
    transactions = pipeline.transfers(100)
    pipeline.submit(transactions)
    pipeline.assert_sound(transactions)
    assert not pipeline.letters()
