"""A call that finds the circuit to the ledger open waits for it a while, unless there is something else to answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from recovery.breaker import CircuitOpenError
from recovery.degradation import OperationType
from rpc.jsonrpc import fault_tolerance
from rpc.jsonrpc.fault_tolerance import FaultTolerance, RedisAway


class Circuit:
    """Refuses so many calls."""

    def __init__(self, refusals: int) -> None:
        self.left = refusals

    def permit(self) -> AbstractAsyncContextManager[None]:
        return self._permit()

    @asynccontextmanager
    async def _permit(self) -> AsyncIterator[None]:
        if self.left:
            self.left -= 1
            raise CircuitOpenError("rpc", 0.01, "consecutive failures")
        yield


def _guarded(circuit: Circuit) -> FaultTolerance:
    return FaultTolerance(read_timeout=5.0, write_timeout=0.9, breaker=circuit)


async def _answer() -> str:
    return "answer"


@pytest.mark.parametrize("kind", [OperationType.READ, OperationType.WRITE])
def test_a_circuit_that_closes_in_time_is_not_seen(kind: OperationType) -> None:
    assert asyncio.run(_guarded(Circuit(3)).execute_with_fault_tolerance(_answer, "a", kind)) == "answer"


def test_one_that_stays_open_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault_tolerance, "_PATIENCE", 0.2)
    with pytest.raises(RedisAway, match="circuit"):
        asyncio.run(_guarded(Circuit(1_000)).execute_with_fault_tolerance(_answer, "a"))


def test_nobody_waits_who_need_not_or_when_too_many_do(monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = Circuit(1)
    with pytest.raises(RedisAway):
        asyncio.run(_guarded(circuit).execute_with_fault_tolerance(_answer, "a", may_wait=lambda: False))
    monkeypatch.setattr(fault_tolerance, "_MOST_WAITING", 1)

    async def two() -> list[object]:
        guarded = _guarded(Circuit(2))
        calls = [guarded.execute_with_fault_tolerance(_answer, "a") for _ in range(2)]
        return list(await asyncio.gather(*calls, return_exceptions=True))

    found = asyncio.run(two())
    assert found[0] == "answer"
    assert isinstance(found[1], RedisAway)


def test_what_has_begun_is_not_begun_again() -> None:
    begun = 0

    async def refused_inside() -> str:
        nonlocal begun
        begun += 1
        raise CircuitOpenError("upstream", 0.01, "elsewhere")

    with pytest.raises(RedisAway):
        asyncio.run(_guarded(Circuit(0)).execute_with_fault_tolerance(refused_inside, "a", OperationType.WRITE))
    assert begun == 1
