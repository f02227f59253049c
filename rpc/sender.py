"""Into intake: concurrent sends are grouped and submitted together, in a thread of their own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from banking.intake.intake import MAX_AT_ONCE
from banking.transaction import VerifiedTransaction
from rpc.errors import Overloaded
from tasks.receipts import Receipt
from tasks.submission import Submitter


@dataclass(slots=True)
class _Waiting:
    transaction: VerifiedTransaction
    future: asyncio.Future[Receipt] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Sender:
    """Submits through `submitter`, at most `queue_limit` waiting; `window` is in seconds."""

    def __init__(self, make_submitter: Callable[[], Submitter], *, window: float, queue_limit: int) -> None:
        self._make_submitter = make_submitter
        self._submitter: Submitter | None = None
        self._window = window
        self._queue_limit = queue_limit
        self._queue: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rpc-send")
        self._task: asyncio.Task[None] | None = None

    async def send(self, transaction: VerifiedTransaction) -> Receipt:
        """The receipt for one transaction. Raises LedgerUnavailable, StaleEpoch, Overloaded."""
        if len(self._queue) >= self._queue_limit:
            raise Overloaded("Too many transactions are waiting to be accepted")
        waiting = _Waiting(transaction)
        self._queue.append(waiting)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._serve())
        return await waiting.future

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        # Those who come at the same moment share a message; whoever comes later waits for the round trip anyway.
        await asyncio.sleep(self._window)
        while self._queue:
            taken = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_AT_ONCE))]
            group = [one for one in taken if not one.future.done()]
            if not group:
                continue
            try:
                receipts = await loop.run_in_executor(self._thread, self._submit, [one.transaction for one in group])
            except Exception as error:  # noqa: BLE001 - handed to those who asked
                for one in group:
                    if not one.future.done():
                        one.future.set_exception(error)
                continue
            for one, receipt in zip(group, receipts, strict=True):
                if not one.future.done():
                    one.future.set_result(receipt)

    def _submit(self, transactions: list[VerifiedTransaction]) -> list[Receipt]:
        if self._submitter is None:
            self._submitter = self._make_submitter()
        return self._submitter.submit_verified(transactions)
