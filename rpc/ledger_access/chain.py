"""The end of the chain, followed by a short poll: the open slot, and what is finalized."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from banking.ledger.async_ledger import LEDGER_UNREADABLE, Snapshot
from recovery.clock import SYSTEM_CLOCK, Clock
from rpc.cancellation import cancel_and_wait
from rpc.ledger_access.reader import LedgerReader

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.025
_AFTER_FAILURE_SECONDS = 0.25
#: Slots whose times are remembered here, for blocks that are not in the archive yet.
_TIMES_KEPT = 100_000


@dataclass(frozen=True, slots=True)
class Tip:
    """The chain's end. `finalized_seq` is the last sequence number in the slots up to `finalized`."""

    epoch: int
    slot: int
    finalized: int
    finalized_seq: int


Listener = Callable[["Tip | None", Tip], None]


class Chain:
    """Polls the ledger's counters; notifies listeners of every change; lets callers wait for finality."""

    def __init__(self, reader: LedgerReader, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._reader = reader
        self.tip: Tip | None = None
        self._clock = clock
        #: When the open slot was first seen, on the monotonic clock.
        self.slot_since = clock.monotonic()
        self.listeners: list[Listener] = []
        #: Unix time (ms) of the slots that were seen to begin.
        self.slot_times_ms: dict[int, int] = {}
        self._time_order: deque[int] = deque()
        self._waiting: set[tuple[int, asyncio.Future[bool]]] = set()
        self._seq = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="rpc-chain")

    async def stop(self) -> None:
        await cancel_and_wait(self._task)

    @property
    def waits(self) -> int:
        """How many callers wait for a slot to be final."""
        return len(self._waiting)

    def slot_age(self, snapshot: Snapshot) -> float:
        """Seconds since this server saw `snapshot`'s open slot begin, by its monotonic clock: no time of day counts."""
        is_current = self.tip is not None and (self.tip.epoch, self.tip.slot) == (snapshot.epoch, snapshot.slot)
        return self._clock.monotonic() - self.slot_since if is_current else 0.0

    def closed_ms(self, slot: int) -> int | None:
        """When `slot` was closed (Unix ms), as its block says too; None when this server did not see it."""
        return self.slot_times_ms.get(slot + 1)

    async def wait_finalized(self, snapshot: Snapshot, timeout: float) -> bool:
        """Return once the open slot of `snapshot` is finalized, with all that stood in it then.

        False when it is not within `timeout` seconds, or when Redis may have lost some of it meanwhile: the slot that
        becomes final may then be another one of the same number.
        """
        if self.tip is not None and self.tip.epoch > snapshot.epoch:
            return False
        if self.tip is not None and self.tip.epoch == snapshot.epoch and self.tip.finalized >= snapshot.slot:
            return True
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        entry = (snapshot.slot, future)
        self._waiting.add(entry)
        try:
            return await asyncio.wait_for(future, timeout)
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(entry)

    async def _run(self) -> None:
        down = False
        while True:
            try:
                await self._poll()
                if down:
                    logger.warning("Redis answers again")
                down = False
                await asyncio.sleep(POLL_SECONDS)
            except LEDGER_UNREADABLE as error:
                if not down:
                    logger.warning("Cannot follow the ledger: %s", error)
                down = True
                # A server that comes back may have lost what the waiting have read.
                self._give_up_waiting()
                await asyncio.sleep(_AFTER_FAILURE_SECONDS)

    async def _poll(self) -> None:
        snapshot = await self._reader.read()
        old = self.tip
        if old is not None and (snapshot.epoch != old.epoch or snapshot.seq < self._seq):
            self._give_up_waiting()
        self._seq = snapshot.seq
        if old is not None and (old.epoch, old.slot, old.finalized) == _place(snapshot):
            return
        if old is None or (old.epoch, old.slot) != (snapshot.epoch, snapshot.slot):
            self.slot_since = self._clock.monotonic()
        tip = Tip(snapshot.epoch, snapshot.slot, snapshot.finalized, snapshot.finalized_seq)
        self._note_time(snapshot)
        self.tip = tip
        for slot, future in list(self._waiting):
            if slot <= tip.finalized and not future.done():
                future.set_result(True)
        for listener in self.listeners:
            listener(old, tip)

    def _give_up_waiting(self) -> None:
        for _, future in self._waiting:
            if not future.done():
                future.set_result(False)

    def _note_time(self, snapshot: Snapshot) -> None:
        if snapshot.slot in self.slot_times_ms:
            return
        self.slot_times_ms[snapshot.slot] = snapshot.slot_time_ms
        self._time_order.append(snapshot.slot)
        while len(self._time_order) > _TIMES_KEPT:
            self.slot_times_ms.pop(self._time_order.popleft(), None)


def _place(snapshot: Snapshot) -> tuple[int, int, int]:
    return snapshot.epoch, snapshot.slot, snapshot.finalized
