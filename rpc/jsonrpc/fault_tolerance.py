"""What stands around every method: the degradation gate, the breaker, retries and a time limit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from banking.errors import LedgerMissing, LedgerRestoring, LedgerUnavailable, StaleEpoch
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.degradation import OperationType
from recovery.errors import Refused
from recovery.guarded import AsyncGuard
from recovery.protocols import AsyncBreakerProtocol, GateProtocol
from recovery.retry.classification import retry_on
from recovery.retry.policy import RetryPolicy
from rpc.jsonrpc.errors import RpcError
from rpc.jsonrpc.registry import OPERATIONS

logger = logging.getLogger(__name__)
T = TypeVar("T")

#: Whose modes rule an operation: the server's own, and for what is taken in also that of the intake.
COMPONENTS = {"WRITE": ("rpc", "intake")}
#: A verdict is looked up again after this long, and not used after twice that (seconds).
_GATE_AGE = 0.1
#: So long a call waits for an open circuit (seconds), as clients do not ask again after this error: after a short
#: outage it is let through in that time. A send has less time in all.
_PATIENCE, _SEND_PATIENCE = 1.5, 0.7
#: More calls than that do not wait: in a long outage they would only fill the server.
_MOST_WAITING = 256
#: Between two looks at an open circuit, at least (seconds).
_LOOK_AGAIN = 0.05


class RedisAway(RpcError):
    """The ledger's Redis does not answer; reads may be answered from the last good answers instead."""

    def __init__(self, reason: str, *, retry_after: float = 1.0) -> None:
        super().__init__(-32005, f"Node is unhealthy: {reason}", {"numSlotsBehind": None}, retry_after=retry_after)


class ModeRefused(RpcError):
    """The degradation mode does not allow the operation. `offline`: nothing is allowed at all."""

    def __init__(self, message: str, retry_after: float, *, offline: bool) -> None:
        super().__init__(-32005, message, {"numSlotsBehind": None}, retry_after=retry_after)
        self.offline = offline


class _PolledGate:
    """Verdicts of a gate, looked up in a thread so that the event loop never waits for one."""

    def __init__(self, gate: GateProtocol, clock: Clock) -> None:
        self._gate = gate
        self._clock = clock
        self._verdicts: dict[OperationType, Refused | None] = {}
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    async def check(self, operation: OperationType) -> None:
        """Raises the gate's refusal."""
        age = self._clock.monotonic() - self._looked_at
        if age >= _GATE_AGE and self._looking is None:
            self._looking = asyncio.create_task(self._look())
        # Under load a verdict serves a little longer, while the next one is on its way; after a pause it does not.
        if age >= 2 * _GATE_AGE and self._looking is not None:
            await asyncio.shield(self._looking)
        refusal = self._verdicts.get(operation)
        if refusal is not None:
            raise refusal

    async def _look(self) -> None:
        try:
            # All at once, so that no two operations are judged by different modes.
            self._verdicts = await asyncio.to_thread(
                lambda: {operation: self._ask(operation) for operation in OPERATIONS}
            )
            self._looked_at = self._clock.monotonic()
        finally:
            self._looking = None

    def _ask(self, operation: OperationType) -> Refused | None:
        try:
            for component in COMPONENTS.get(operation.value, ("rpc",)):
                self._gate.check(component, operation.value)
        except Refused as refusal:
            return refusal
        return None


class FaultTolerance:
    """Runs operations behind the degradation gate, the breaker, retries and a time limit, whatever they do."""

    def __init__(
        self,
        *,
        read_timeout: float,
        write_timeout: float,
        gate: GateProtocol | None = None,
        breaker: AsyncBreakerProtocol | None = None,
        retry: RetryPolicy | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._gate = _PolledGate(gate, clock) if gate is not None else None
        policy = retry or RetryPolicy.preset("rpc", retryable=retry_on(LedgerUnavailable, StaleEpoch))
        self._reads = AsyncGuard(breaker, policy.using(name="rpc"))
        self._writes = AsyncGuard(breaker)
        self._timeouts = {OperationType.WRITE: write_timeout}
        self._read_timeout = read_timeout
        self._clock = clock
        self._waiting = 0

    async def execute_with_fault_tolerance(
        self,
        operation: Callable[[], Awaitable[T]],
        name: str,
        kind: OperationType = OperationType.READ,
        *,
        local: bool = False,
        timeout: float | None = None,
        may_wait: Callable[[], bool] = lambda: True,
    ) -> T:
        """The answer of `operation`; `name` is for the log, `local` operations need no Redis.

        Raises RpcError: ModeRefused, RedisAway, or what the operation itself says. `timeout` is in seconds. `may_wait`
        is asked before the call waits for an open circuit.
        """
        await self.check(kind)
        if local:
            return await operation()
        limit = timeout or self._timeouts.get(kind, self._read_timeout)
        try:
            async with asyncio.timeout(limit):
                return await self._patiently(operation, kind, may_wait)
        except TimeoutError:
            logger.warning("%s took longer than %g s", name, limit)
            raise RedisAway(f"no answer within {limit:g} s") from None
        except (LedgerUnavailable, StaleEpoch) as error:
            raise RedisAway("the ledger does not answer") from error
        except (LedgerMissing, LedgerRestoring) as error:
            raise RedisAway(str(error)) from error
        except Refused as error:
            raise RedisAway("the circuit to the ledger is open", retry_after=error.retry_after) from error

    async def check(self, kind: OperationType) -> None:
        """Ask the degradation gate. Raises ModeRefused."""
        if self._gate is None:
            return
        try:
            await self._gate.check(kind)
        except Refused as refusal:
            mode = str(getattr(refusal, "mode", "degraded"))
            raise ModeRefused(
                f"Node is unhealthy: {kind.value} is refused, the RPC is in mode {mode}",
                refusal.retry_after,
                offline=mode == "OFFLINE",
            ) from None

    async def quietly(self, work: Awaitable[None]) -> None:
        """Do `work`; a ledger that does not answer is only logged."""
        try:
            async with asyncio.timeout(self._read_timeout):
                await work
        except (LedgerUnavailable, LedgerMissing, LedgerRestoring, TimeoutError) as error:
            logger.warning("The ledger does not answer: %s", error)

    async def _patiently(
        self, operation: Callable[[], Awaitable[T]], kind: OperationType, may_wait: Callable[[], bool]
    ) -> T:
        """`_guarded`, again for a while as long as the circuit refuses it before it has begun."""
        began, begun = self._clock.monotonic(), False
        until = began + (_SEND_PATIENCE if kind is OperationType.WRITE else _PATIENCE)

        def begin() -> Awaitable[T]:
            nonlocal begun
            begun = True
            return operation()

        while True:
            try:
                return await self._guarded(begin, kind)
            except Refused as refusal:
                left = until - self._clock.monotonic()
                if begun or left <= 0 or self._waiting >= _MOST_WAITING or not may_wait():
                    raise
                pause = max(_LOOK_AGAIN, min(refusal.retry_after, left))
            self._waiting += 1
            try:
                await asyncio.sleep(pause)
            finally:
                self._waiting -= 1

    async def _guarded(self, operation: Callable[[], Awaitable[T]], kind: OperationType) -> T:
        # Sends are not repeated here: the client holds the signature and knows that it may ask again.
        guard = self._writes if kind is OperationType.WRITE else self._reads
        answer = await guard.call(lambda: _answer_of(operation))
        if isinstance(answer, RpcError):
            raise answer
        return answer


async def _answer_of(operation: Callable[[], Awaitable[T]]) -> T | RpcError:
    try:
        return await operation()
    except RpcError as error:
        # Returned, so that the breaker takes it for a success: a client's mistake says nothing about the ledger.
        return error
