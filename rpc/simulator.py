"""Simulation in a thread of its own: the VM is not for several threads, nor for the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from banking.errors import StaleEpoch, VmPanic
from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage, Simulation
from banking.ledger.ledger import Ledger
from banking.transaction import SignedTransaction
from recovery.errors import TransientError

_MOST_TOGETHER = 32


@dataclass(slots=True)
class _Waiting:
    transaction: SignedTransaction
    check_blockhash: bool
    future: asyncio.Future[Simulation] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Simulator:
    """Simulates transactions one after the other. `make_ledger` is called in the thread that will use it."""

    def __init__(self, make_ledger: Callable[[], Ledger], *, queue_limit: int) -> None:
        self._make_ledger = make_ledger
        self._stage: BankingStage | None = None
        self._queue: deque[_Waiting] = deque()
        self._queue_limit = queue_limit
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rpc-simulate")
        self._task: asyncio.Task[None] | None = None

    async def simulate(self, transaction: SignedTransaction, *, check_blockhash: bool = True) -> Simulation:
        """What `transaction` would come to now. Raises LedgerUnavailable, StaleEpoch, and asyncio.QueueFull."""
        if len(self._queue) >= self._queue_limit:
            raise asyncio.QueueFull
        waiting = _Waiting(transaction, check_blockhash)
        self._queue.append(waiting)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._serve())
        return await waiting.future

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            taken = [self._queue.popleft() for _ in range(min(len(self._queue), _MOST_TOGETHER))]
            # Whoever gave up waiting needs no answer.
            group = [one for one in taken if not one.future.done()]
            if not group:
                continue
            try:
                answers = await loop.run_in_executor(self._thread, self._run, group)
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # noqa: BLE001 - a panic is no Exception, and must not end this loop
                self._stage = None
                answers = [VmPanic(f"the simulation broke down: {error!r}")] * len(group)
            for one, answer in zip(group, answers, strict=True):
                if one.future.done():
                    continue
                if isinstance(answer, BaseException):
                    one.future.set_exception(answer)
                else:
                    one.future.set_result(answer)

    def _run(self, group: list[_Waiting]) -> list[Simulation | Exception]:
        try:
            return list(self._simulate([(one.transaction, one.check_blockhash) for one in group]))
        except TransientError as error:
            return [error] * len(group)
        except Exception as error:  # noqa: BLE001 - one of them has a transaction that the VM cannot stand
            if len(group) == 1:
                return [error]
        return [answer for one in group for answer in self._run([one])]

    def _simulate(self, asked: list[tuple[SignedTransaction, bool]]) -> list[Simulation]:
        if self._stage is None:
            self._stage = BankingStage(self._make_ledger(), SvmExecutor())
        try:
            return self._stage.simulate_each(asked)
        except StaleEpoch:
            # Restored meanwhile; the ledger has looked the new epoch up.
            return self._stage.simulate_each(asked)
