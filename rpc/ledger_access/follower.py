"""Following the journal: each committed transaction once, in order, soon after its commit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import redis
from solders.transaction import VersionedTransaction

from banking.blocks.block import Block
from banking.ledger import reads
from banking.ledger.async_ledger import LEDGER_UNREADABLE, AsyncLedger, Snapshot
from banking.ledger.journal import JournalEntry, written_by
from banking.ledger.ledger import BLOCKHASH_HISTORY
from banking.ledger.reads import Read
from rpc.cancellation import cancel_and_wait
from rpc.index.accounts import AccountIndex
from rpc.index.backfill import Backfill
from rpc.index.history import History
from rpc.ledger_access.reader import LedgerReader

logger = logging.getLogger(__name__)

#: Accounts in one answer of Redis, and commits of the journal.
_PAGE, _COMMITS = 500, 16
_BLOCK_MS = 500
_AFTER_FAILURE_SECONDS = 0.25


@dataclass(slots=True)
class Followed:
    """One journal entry with its transaction, parsed once for all listeners (None for a genesis).

    `writes` maps the accounts that it changed to the newest records of its slot, as far as that had come.
    """

    entry: JournalEntry
    parsed: VersionedTransaction | None
    writes: Mapping[bytes, bytes] = field(default_factory=dict)
    #: The payload for log subscriptions once it was made: it is the same when the transaction is final.
    logs_text: str = ""


Listener = Callable[[list[Followed]], None]


class Follower:
    """Feeds the indexes and the listeners. After a gap, a restart or a restore it reads the ledger anew."""

    def __init__(
        self,
        ledger: AsyncLedger,
        reader: LedgerReader,
        accounts: AccountIndex,
        history: History,
        backfill: Backfill | None = None,
        read_block: Callable[[int], Block | None] | None = None,
    ) -> None:
        self._read_block = read_block
        #: With connections that may wait: for the journal, and for a scan of all accounts.
        self._ledger = ledger
        self._reader = reader
        self.accounts = accounts
        self.history = history
        self._backfill = backfill
        self._backfilling: asyncio.Task[None] | None = None
        self.listeners: list[Listener] = []
        #: The last sequence number that was followed; -1 while the indexes are being built.
        self.seq = -1
        self._epoch = 0
        #: The last entry that was followed. A Redis that lost its tail may give its numbers to another one.
        self._last: JournalEntry | None = None
        self._waiting: list[tuple[Snapshot, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="rpc-follower")

    async def stop(self) -> None:
        await cancel_and_wait(self._task)
        await cancel_and_wait(self._backfilling)
        await self._ledger.close()

    async def wait_for(self, snapshot: Snapshot, timeout: float) -> bool:
        """Return once all that `snapshot` counts was followed; False when it was not within `timeout` seconds."""
        if self._has_reached(snapshot):
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = (snapshot, future)
        self._waiting.append(waiting)
        try:
            await asyncio.wait_for(future, timeout)
        except TimeoutError:
            return False
        finally:
            self._waiting.remove(waiting)
        return True

    def _has_reached(self, snapshot: Snapshot) -> bool:
        # Sequence numbers of different epochs say nothing about each other.
        return self._epoch == snapshot.epoch and self.seq >= snapshot.seq

    def _advance(self, seq: int) -> None:
        self.seq = seq
        for snapshot, future in self._waiting:
            if not future.done() and self._has_reached(snapshot):
                future.set_result(None)

    async def _run(self) -> None:
        while True:
            try:
                await self._build()
                while await self._follow():
                    pass
                logger.warning("The journal went on without us or under a new epoch: building the indexes anew")
            except LEDGER_UNREADABLE as error:
                logger.warning("Cannot follow the journal: %s", error)
                await asyncio.sleep(_AFTER_FAILURE_SECONDS)
            except redis.ResponseError as error:
                # No outage, so it does not pass by itself: worth the repeated warning.
                logger.warning("Redis refuses the journal: %s", error)
                await asyncio.sleep(_AFTER_FAILURE_SECONDS)

    async def _follow(self) -> bool:
        """Wait for entries and pass them on; False when something is missing."""
        last = reads.entry(*self._position)
        entries = await self._ledger.await_entries(self._epoch, self._position, most=_COMMITS, patience_ms=_BLOCK_MS)
        if not entries:
            return self._is_current(await self._reader.read(last), last)
        if entries[0].seq != self.seq + 1:
            return False
        slots = sorted({entry.slot for entry in entries})
        keys = [written_by(entry for entry in entries if entry.slot == slot) for slot in slots]
        images = {slot: reads.images(slot, slot_keys) for slot, slot_keys in zip(slots, keys, strict=True) if slot_keys}
        snapshot = await self._reader.read_alone(last, *images.values())
        if not self._is_current(snapshot, last):
            return False
        for slot, slot_keys in zip(slots, keys, strict=True):
            found = snapshot.answer(images[slot]) if slot_keys else {}
            writes = await self._records(snapshot, slot, slot_keys, found)
            self._pass_on([entry for entry in entries if entry.slot == slot], writes)
        self._last = entries[-1]
        # A burst must not starve the requests.
        await asyncio.sleep(0)
        return True

    async def _records(
        self, snapshot: Snapshot, slot: int, keys: Sequence[bytes], images: Mapping[bytes, bytes]
    ) -> Mapping[bytes, bytes]:
        """The records of the accounts `keys` at the end of `slot`: from Redis while it has them, else the archive."""
        if slot >= snapshot.slot - 1:
            return images
        block = await asyncio.to_thread(self._read_block, slot) if self._read_block is not None else None
        if block is not None:
            return dict(block.images)
        # Neither Redis nor the archive has it: the newest record is sent, and sent again when it changes.
        if not keys:
            return {}
        newest = reads.accounts(keys)
        records = (await self._reader.read_alone(newest)).answer(newest)
        return dict(zip(keys, records, strict=True))

    @property
    def _position(self) -> tuple[int, int]:
        """Slot and sequence number of the last entry that was followed; (0, 0) before the first."""
        return (self._last.slot, self._last.seq) if self._last is not None else (0, 0)

    def _is_current(self, snapshot: Snapshot, last: Read[JournalEntry | None]) -> bool:
        # Redis that came back without its newest second has a lower number, or has handed ours out again: what was
        # passed on is void. `last` is what stands in the place of the last entry now.
        stored, slot = snapshot.answer(last), self._position[0]
        if stored is not None:
            same = self._last is not None and stored.raw == self._last.raw
        else:
            same = slot <= snapshot.finalized - BLOCKHASH_HISTORY
        return snapshot.epoch == self._epoch and snapshot.seq >= self.seq and (same or not slot)

    def _pass_on(self, entries: list[JournalEntry], images: Mapping[bytes, bytes]) -> None:
        followed = []
        for entry in entries:
            writes = {key: images[key] for key in entry.keys if key in images}
            followed.append(Followed(entry, _parse(entry), writes))
        for key, record in images.items():
            self.accounts.update(key, record)
        for transaction in followed:
            if transaction.parsed is not None:
                self.history.add(transaction.entry, transaction.parsed)
        self._advance(entries[-1].seq)
        for listener in self.listeners:
            listener(followed)

    async def _build(self) -> None:
        self.seq = -1
        newest = reads.newest_entry()
        snapshot = await self._reader.read(newest)
        self._epoch = snapshot.epoch
        self._last = snapshot.answer(newest)
        followed_to = self._last.seq if self._last is not None else snapshot.seq
        self.accounts.clear()
        async for records in self._ledger.account_pages(self._epoch, _PAGE):
            for name, record in records.items():
                self.accounts.update(name, record)
        if self._backfilling is not None:
            self._backfilling.cancel()
        self.history.clear()
        first = await self._read_history()
        if self._backfill is not None:
            slot, seq = first or (snapshot.finalized, snapshot.finalized_seq + 1)
            self._backfilling = asyncio.create_task(self._backfill.run(slot, seq), name="rpc-backfill")
        # What is written while the scan runs comes again from the journal.
        self._advance(followed_to)
        logger.info("Indexed %d accounts and %d transactions", len(self.accounts), len(self.history))

    async def _read_history(self) -> tuple[int, int] | None:
        """The newest transactions that the journal still holds, up to the limit.

        Returns slot and sequence number of the first one, None when there is none.
        """
        newest_first: list[tuple[JournalEntry, VersionedTransaction]] = []
        async for entry in self._ledger.entries_back_from(self._epoch, self._position, _COMMITS):
            if len(newest_first) >= self.history.limit:
                break
            if (parsed := _parse(entry)) is not None:
                newest_first.append((entry, parsed))
        for entry, parsed in reversed(newest_first):
            self.history.add(entry, parsed)
        return (newest_first[-1][0].slot, newest_first[-1][0].seq) if newest_first else None


def _parse(entry: JournalEntry) -> VersionedTransaction | None:
    return VersionedTransaction.from_bytes(entry.raw) if entry.raw else None
