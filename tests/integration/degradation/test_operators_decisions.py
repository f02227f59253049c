"""Modes and breaker overrides are checkpointed with the ledger, and are back after the loss of Redis."""

from __future__ import annotations

import redis

from banking.restore.ledger_recovery import LedgerRecovery
from recovery.breaker import CircuitBreaker, CircuitState, Override, list_breakers
from recovery.degradation import DegradationManager, DegradationMode
from tasks.components import ModesComponent, OverridesComponent
from tests.support.ledgers import World, new_world


def manager(client: redis.Redis) -> DegradationManager:
    """As a fresh process has it, which remembers nothing."""
    return DegradationManager(client, namespace="t:modes")


def breaker(client: redis.Redis, name: str) -> CircuitBreaker:
    return CircuitBreaker(name, redis=client, namespace="t")


def ledger_recovery(world: World) -> LedgerRecovery:
    client = world.ledger.client
    others = {
        "modes": ModesComponent(manager(client)),
        "overrides": OverridesComponent(lambda: list_breakers(client, "t"), lambda name: breaker(client, name)),
    }
    return LedgerRecovery(world.ledger, world.blocks, others=others)


def test_decisions_come_back_with_the_ledger(redis_client: redis.Redis) -> None:
    world = new_world(redis_client)
    world.seal()
    manager(redis_client).set_component_mode("rpc", DegradationMode.READ_ONLY, actor="ann", reason="audit")
    breaker(redis_client, "upstream:x").override(Override.OPEN, "moving house", by="ann")
    breaker(redis_client, "archive").override(Override.DISABLED, "trial", duration=3600, by="ben")
    ledger_recovery(world).create_checkpoint()
    redis_client.flushall()
    ledger_recovery(world).ensure_consistent()
    assert manager(redis_client).get_component_mode("rpc") is DegradationMode.READ_ONLY
    reopened = breaker(redis_client, "upstream:x").snapshot()
    assert (reopened.state, reopened.override_reason, reopened.override_by) == (
        CircuitState.OPEN,
        "moving house",
        "ann",
    )
    assert breaker(redis_client, "archive").snapshot().override is Override.DISABLED


def test_a_newer_decision_is_not_overruled_by_an_older_checkpoint(redis_client: redis.Redis) -> None:
    world = new_world(redis_client)
    world.seal()
    breaker(redis_client, "archive").override(Override.OPEN, "old", by="ann")
    ledger_recovery(world).create_checkpoint()
    redis_client.delete(world.ledger.keys.meta)
    breaker(redis_client, "archive").override(Override.CLOSED, "new", by="ben")
    ledger_recovery(world).ensure_consistent()
    assert breaker(redis_client, "archive").snapshot().override_reason == "new"
