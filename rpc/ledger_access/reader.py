"""Reading the ledger from an event loop: concurrent reads share one atomic round trip to Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from banking.ledger.async_ledger import AsyncLedger, Snapshot
from banking.ledger.reads import Read
from rpc.batching import Batcher

_MAX_GROUP = 512


class LedgerReader:
    """Reads `ledger`. While a round trip is under way, further reads gather and go together in the next one: under
    load the cost of a round trip is shared, and without load nobody waits.
    """

    def __init__(self, ledger: AsyncLedger) -> None:
        self._ledger = ledger
        self._batcher: Batcher[Sequence[Read[Any]], Snapshot] = Batcher(ledger.read_each, max_group=_MAX_GROUP)

    async def read(self, *reads: Read[Any]) -> Snapshot:
        """The counters and the answers to `reads`, all of one moment. Raises what is in `LEDGER_UNREADABLE`."""
        return await self._batcher.ask(reads)

    async def read_alone(self, *reads: Read[Any]) -> Snapshot:
        """As `read`, on a connection of its own: for large answers that must not hold up the small ones."""
        return (await self._ledger.read([reads]))[0]

    def account_pages(self, epoch: int, page: int) -> AsyncIterator[dict[bytes, bytes]]:
        """The records of all accounts by key, about `page` at a time; an account may come twice."""
        return self._ledger.account_pages(epoch, page)

    async def close(self) -> None:
        """End what waits, and close the connections."""
        await self._batcher.close()
        await self._ledger.close()
