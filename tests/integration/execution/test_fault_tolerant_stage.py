"""`process_transaction_with_fault_tolerance`: gate, breaker and retry around the banking stage, without Celery."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from solders.keypair import Keypair

from banking.errors import InvalidTransaction, LedgerUnavailable
from banking.execution.executor import SvmExecutor
from banking.execution.fault_tolerance import Protection
from banking.execution.stage import BankingStage
from recovery.breaker import CircuitBreaker, CircuitBreakerConfig, CircuitOpenError, CircuitState
from recovery.degradation import DegradationManager, DegradationMode, OperationRefused
from recovery.retry.policy import RetryPolicy
from tests.support.ledgers import SOL, World, new_world


@pytest.fixture
def world(any_redis: redis.Redis) -> World:
    return new_world(any_redis)


def protect(world: World, **parts: Any) -> BankingStage:
    quick = RetryPolicy(max_attempts=3, initial_delay=0.0, max_delay=0.0)
    return BankingStage(world.ledger, SvmExecutor(), protection=Protection(**{"policy": quick, **parts}))


def failing(stage: BankingStage, monkeypatch: pytest.MonkeyPatch, times: int) -> list[int]:
    """Make the ledger fail `times` times, as an outage does; returns the list that counts the calls."""
    original, calls = stage.ledger.commit, [0]

    def commit(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] <= times:
            raise LedgerUnavailable("away")
        return original(*args, **kwargs)

    monkeypatch.setattr(stage.ledger, "commit", commit)
    return calls


def test_outage_shorter_than_the_attempts_goes_unnoticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = protect(world)
    calls = failing(stage, monkeypatch, times=2)
    transaction = world.transfer(world.faucet, Keypair().pubkey(), SOL)
    assert stage.process_transaction_with_fault_tolerance(transaction.raw).ok
    assert calls == [3]
    assert world.ledger.state().processed == 1


def test_same_transaction_again_has_the_first_outcome(world: World) -> None:
    stage = protect(world)
    transaction = world.transfer(world.faucet, Keypair().pubkey(), SOL)
    first = stage.process_transaction_with_fault_tolerance(transaction.raw)
    assert stage.process_transaction_with_fault_tolerance(transaction.raw) == first


def test_read_only_refuses_before_anything_is_begun(world: World) -> None:
    gate = DegradationManager()
    gate.set_component_mode("transactions", DegradationMode.READ_ONLY, reason="test")
    transaction = world.transfer(world.faucet, Keypair().pubkey(), SOL)
    with pytest.raises(OperationRefused):
        protect(world, gate=gate).process_transaction_with_fault_tolerance(transaction.raw)
    assert world.ledger.outcomes([transaction.signature]) == [None]


def test_outage_opens_the_breaker_and_an_open_one_begins_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    breaker = CircuitBreaker("transaction", CircuitBreakerConfig(failure_threshold=3, timeout=60))
    stage = protect(world, breaker=breaker)
    calls = failing(stage, monkeypatch, times=3)
    transaction = world.transfer(world.faucet, Keypair().pubkey(), SOL)
    with pytest.raises(LedgerUnavailable):
        stage.process_transaction_with_fault_tolerance(transaction.raw)
    assert breaker.state() is CircuitState.OPEN
    with pytest.raises(CircuitOpenError):
        stage.process_transaction_with_fault_tolerance(transaction.raw)
    assert calls == [3]
    breaker.reset()
    assert stage.process_transaction_with_fault_tolerance(transaction.raw).ok


def test_program_errors_do_not_count_against_the_breaker(world: World) -> None:
    breaker = CircuitBreaker("transaction", CircuitBreakerConfig(failure_threshold=1, timeout=60))
    stage = protect(world, breaker=breaker)
    poor = world.fund(1, SOL)[0]
    transaction = world.transfer(poor, Keypair().pubkey(), 5 * SOL)
    assert not stage.process_transaction_with_fault_tolerance(transaction.raw).ok
    with pytest.raises(InvalidTransaction):
        stage.process_transaction_with_fault_tolerance(transaction.raw[:-1])
    assert breaker.state() is CircuitState.CLOSED
