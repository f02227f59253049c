"""The accounts with the most lamports, found by a scan whose result serves for some seconds."""

from __future__ import annotations

import asyncio
import heapq

from banking.ledger.records import lamports_of
from recovery.clock import SYSTEM_CLOCK, Clock
from rpc.ledger_access.reader import LedgerReader

_MAX_LISTED = 20
#: Agave keeps the answer for hours; a scan of all accounts is worth some seconds of age.
_MAX_AGE_SECONDS = 5.0
_PAGE = 2000

#: (lamports, key), the most first.
Ranking = list[tuple[int, bytes]]


class LargestAccounts:
    """One scan at a time, however many ask."""

    def __init__(self, reader: LedgerReader, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._reader = reader
        self._clock = clock
        self._lock = asyncio.Lock()
        #: (when, slot, ranking) of the last scan.
        self._kept: tuple[float, int, Ranking] | None = None

    async def read(self) -> tuple[int, Ranking]:
        """The ranking, and the slot that it is true at."""
        async with self._lock:
            now = self._clock.monotonic()
            if self._kept is not None and now - self._kept[0] <= _MAX_AGE_SECONDS:
                return self._kept[1], self._kept[2]
            snapshot = await self._reader.read()
            largest = await self._scan(snapshot.epoch)
            self._kept = (now, snapshot.slot, largest)
            return snapshot.slot, largest

    async def _scan(self, epoch: int) -> Ranking:
        largest: Ranking = []
        seen: set[bytes] = set()
        async for records in self._reader.account_pages(epoch, _PAGE):
            # A scan may give an account twice.
            page_ranking = [(lamports_of(record), name) for name, record in records.items() if name not in seen]
            largest = heapq.nlargest(_MAX_LISTED, largest + page_ranking)
            seen = {name for _, name in largest}
            await asyncio.sleep(0)
        return largest
