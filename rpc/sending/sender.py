"""Into intake: concurrent sends are grouped and submitted together, in a thread of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from banking.intake.intake import MAX_AT_ONCE
from banking.transaction import VerifiedTransaction
from rpc.batching import Batcher
from rpc.jsonrpc.errors import Overloaded
from tasks.receipts import Receipt
from tasks.submission import Submitter


class Sender:
    """Submits through `submitter`, at most `queue_limit` waiting; `window` is in seconds."""

    def __init__(self, make_submitter: Callable[[], Submitter], *, window: float, queue_limit: int) -> None:
        self._make_submitter = make_submitter
        self._submitter: Submitter | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rpc-send")
        # Transactions that come at the same moment share a message; later ones wait for the round trip anyway.
        self._batcher: Batcher[VerifiedTransaction, Receipt] = Batcher(
            self._serve, max_group=MAX_AT_ONCE, queue_limit=queue_limit, window=window
        )

    async def send(self, transaction: VerifiedTransaction) -> Receipt:
        """The receipt for one transaction. Raises LedgerUnavailable, StaleEpoch, Overloaded."""
        try:
            return await self._batcher.ask(transaction)
        except asyncio.QueueFull:
            raise Overloaded("Too many transactions are waiting to be accepted") from None

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _serve(self, transactions: Sequence[VerifiedTransaction]) -> Sequence[Receipt]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._submit, transactions)

    def _submit(self, transactions: Sequence[VerifiedTransaction]) -> list[Receipt]:
        if self._submitter is None:
            self._submitter = self._make_submitter()
        return self._submitter.submit_verified(transactions)
