"""Performance samples: slots and transactions of each minute, as `getRecentPerformanceSamples` returns them."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from banking.ledger.async_ledger import LEDGER_UNREADABLE, Snapshot
from rpc.cancellation import cancel_and_wait
from rpc.ledger_access.reader import LedgerReader

SAMPLE_SECONDS = 60
#: Agave keeps twelve hours of them.
_MAX_KEPT_SAMPLES = 720


@dataclass(frozen=True, slots=True)
class Sample:
    """What happened up to `slot` in `seconds`."""

    slot: int
    slots: int
    transactions: int
    seconds: int


class Performance:
    """Takes a sample every minute while the server runs. The first one is due after a minute."""

    def __init__(self, reader: LedgerReader) -> None:
        self._reader = reader
        self.samples: deque[Sample] = deque(maxlen=_MAX_KEPT_SAMPLES)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="rpc-performance")

    async def stop(self) -> None:
        await cancel_and_wait(self._task)

    async def _run(self) -> None:
        before: Snapshot | None = None
        while True:
            try:
                now = await self._reader.read()
            except LEDGER_UNREADABLE:
                # A minute that was not seen whole is no sample; the chain's follower has logged it.
                before = None
            else:
                if before is not None and before.epoch == now.epoch:
                    self.samples.appendleft(sample_between(before, now))
                before = now
            await asyncio.sleep(SAMPLE_SECONDS)


def sample_between(before: Snapshot, now: Snapshot) -> Sample:
    """The sample of the minute between two snapshots."""
    return Sample(now.slot, now.slot - before.slot, max(0, now.transactions - before.transactions), SAMPLE_SECONDS)
