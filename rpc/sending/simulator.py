"""Simulation in a thread of its own: the VM is not for several threads, nor for the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from banking.errors import StaleEpoch, VmPanic
from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage, Simulation
from banking.ledger.ledger import Ledger
from banking.transaction import SignedTransaction
from recovery.errors import TransientError
from rpc.batching import Batcher

_MAX_GROUP = 32


@dataclass(frozen=True, slots=True)
class _Request:
    transaction: SignedTransaction
    check_blockhash: bool


class Simulator:
    """Simulates transactions one after the other. `make_ledger` is called in the thread that will use it."""

    def __init__(self, make_ledger: Callable[[], Ledger], *, queue_limit: int) -> None:
        self._make_ledger = make_ledger
        self._stage: BankingStage | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rpc-simulate")
        self._batcher: Batcher[_Request, Simulation] = Batcher(
            self._serve, max_group=_MAX_GROUP, queue_limit=queue_limit
        )

    async def simulate(self, transaction: SignedTransaction, *, check_blockhash: bool = True) -> Simulation:
        """What `transaction` would come to now. Raises LedgerUnavailable, StaleEpoch, and asyncio.QueueFull."""
        return await self._batcher.ask(_Request(transaction, check_blockhash))

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _serve(self, group: Sequence[_Request]) -> Sequence[Simulation | BaseException]:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, group)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - a panic is no Exception, and must not end the batcher's loop
            self._stage = None
            return [VmPanic(f"the simulation broke down: {error!r}")] * len(group)

    def _run(self, group: Sequence[_Request]) -> list[Simulation | Exception]:
        try:
            return list(self._simulate([(request.transaction, request.check_blockhash) for request in group]))
        except TransientError as error:
            return [error] * len(group)
        except Exception as error:  # noqa: BLE001 - one of them has a transaction that the VM cannot stand
            if len(group) == 1:
                return [error]
        return [answer for request in group for answer in self._run([request])]

    def _simulate(self, pairs: list[tuple[SignedTransaction, bool]]) -> list[Simulation]:
        if self._stage is None:
            self._stage = BankingStage(self._make_ledger(), SvmExecutor())
        try:
            return self._stage.simulate_each(pairs)
        except StaleEpoch:
            # Restored meanwhile; the ledger has looked the new epoch up.
            return self._stage.simulate_each(pairs)
