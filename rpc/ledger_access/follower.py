"""Following the journal: each committed transaction once, in order, soon after its commit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis
from redis.asyncio import Redis
from solders.transaction import VersionedTransaction

from banking.blocks.block import Block
from banking.ledger.journal import JournalEntry, image_record, journal_entries, written_by
from banking.ledger.ledger import BLOCKHASH_HISTORY
from rpc.cancellation import cancel_and_wait
from rpc.index.accounts import AccountIndex
from rpc.index.backfill import Backfill
from rpc.index.history import History
from rpc.ledger_access.reader import LEDGER_UNREADABLE, Command, LedgerReader, Snapshot

logger = logging.getLogger(__name__)

#: Accounts in one answer of a scan, and commits in one of the journal.
_PAGE = 500
_COMMITS = 16
_BLOCK_MS = 500
_AFTER_FAILURE_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Followed:
    """One journal entry with its transaction, parsed once for all listeners (None for a genesis).

    `writes` maps the accounts that it changed to the newest records of its slot, as far as that had come.
    """

    entry: JournalEntry
    parsed: VersionedTransaction | None
    writes: Mapping[bytes, bytes] = field(default_factory=dict)


Listener = Callable[[list[Followed]], None]


class Follower:
    """Feeds the indexes and the listeners. After a gap, a restart or a restore it reads the ledger anew."""

    def __init__(
        self,
        client: Redis,
        reader: LedgerReader,
        accounts: AccountIndex,
        history: History,
        backfill: Backfill | None = None,
        read_block: Callable[[int], Block | None] | None = None,
    ) -> None:
        self._read_block = read_block
        self._client = client
        self._reader = reader
        self.accounts = accounts
        self.history = history
        self._backfill = backfill
        self._backfilling: asyncio.Task[None] | None = None
        self.listeners: list[Listener] = []
        #: The last sequence number that was followed; -1 while the indexes are being built.
        self.seq = -1
        self._epoch = 0
        self._last_id = b"0-0"
        #: The transactions behind `_last_id`: a Redis that lost its tail may give the id to others.
        self._last_raw = b""
        self._waiting: list[tuple[Snapshot, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="rpc-follower")

    async def stop(self) -> None:
        await cancel_and_wait(self._task)
        await cancel_and_wait(self._backfilling)
        await self._client.aclose()

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
            except (*LEDGER_UNREADABLE, redis.ConnectionError, redis.TimeoutError) as error:
                logger.warning("Cannot follow the journal: %s", error)
                await asyncio.sleep(_AFTER_FAILURE_SECONDS)
            except redis.ResponseError as error:
                # LOADING and its kin pass; anything else is worth the repeated warning.
                logger.warning("Redis refuses the journal: %s", error)
                await asyncio.sleep(_AFTER_FAILURE_SECONDS)

    async def _follow(self) -> bool:
        """Wait for entries and pass them on; False when something is missing."""
        key = self._reader.keys.epoch(self._epoch).journal
        reply: Any = await self._client.xread({key: self._last_id}, count=_COMMITS, block=_BLOCK_MS)
        if not reply:
            return await self._still_current()
        ((_, page),) = reply.items() if isinstance(reply, dict) else reply
        if isinstance(reply, dict):
            (page,) = page
        entries = [entry for name, fields in page for entry in journal_entries(name, fields)]
        if entries[0].seq != self.seq + 1:
            return False
        slots = sorted({entry.slot for entry in entries})
        keys = [written_by(entry for entry in entries if entry.slot == slot) for slot in slots]
        images: list[Command] = [
            ("HMGET", _images(slot), *slot_keys) for slot, slot_keys in zip(slots, keys, strict=True) if slot_keys
        ]
        snapshot = await self._look(*images)
        if not self._is_current(snapshot):
            return False
        answers = iter(snapshot.answers[1:])
        for slot, slot_keys in zip(slots, keys, strict=True):
            found_images = next(answers) if slot_keys else []
            writes = await self._records(snapshot, slot, slot_keys, found_images)
            self._pass_on([entry for entry in entries if entry.slot == slot], writes)
        self._last_id, self._last_raw = page[-1][0], page[-1][1][b"t"]
        # A burst must not starve the requests.
        await asyncio.sleep(0)
        return True

    async def _records(
        self, snapshot: Snapshot, slot: int, keys: Sequence[bytes], images: Sequence[bytes | None]
    ) -> dict[bytes, bytes]:
        """The records of the accounts `keys` at the end of `slot`: from Redis while it has them, else the archive."""
        if slot >= snapshot.slot - 1:
            return {key: image_record(image) for key, image in zip(keys, images, strict=True) if image is not None}
        block = await asyncio.to_thread(self._read_block, slot) if self._read_block is not None else None
        if block is not None:
            return dict(block.images)
        # Neither Redis nor the archive has it: the newest record is sent, and sent again when it changes.
        if not keys:
            return {}
        newest = await self._reader.read_alone(("HMGET", "accounts", *keys))
        return {key: record or b"" for key, record in zip(keys, newest.answers[0], strict=True)}

    async def _still_current(self) -> bool:
        return self._is_current(await self._look())

    async def _look(self, *commands: Command) -> Snapshot:
        """The answers to `commands`, behind what now stands under the last id that was followed."""
        last = self._last_id.decode()
        read = self._reader.read_alone if commands else self._reader.read
        return await read(("XRANGE", "journal", last, last), *commands)

    def _is_current(self, snapshot: Snapshot) -> bool:
        # Redis that came back without its newest second has a lower number, or has handed ours out again: what was
        # passed on is void.
        stored = snapshot.answers[0]
        slot = int(self._last_id.partition(b"-")[0])
        same = stored[0][1][b"t"] == self._last_raw if stored else slot <= snapshot.finalized - BLOCKHASH_HISTORY
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
        snapshot = await self._reader.read(("XREVRANGE", "journal", "+", "-", "COUNT", 1))
        newest = snapshot.answers[0]
        self._epoch = snapshot.epoch
        self._last_id, self._last_raw = (newest[0][0], newest[0][1][b"t"]) if newest else (b"0-0", b"")
        followed_to = journal_entries(*newest[0])[-1].seq if newest else snapshot.seq
        self.accounts.clear()
        await self._scan_accounts()
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

    async def _scan_accounts(self) -> None:
        key = self._reader.keys.epoch(self._epoch).accounts
        cursor: Any = 0
        while True:
            page: Any = await self._client.hscan(key, cursor, count=_PAGE)
            cursor, records = page
            for name, record in records.items():
                self.accounts.update(name, record)
            if not cursor:
                return

    async def _read_history(self) -> tuple[int, int] | None:
        """The newest transactions that the journal still holds, up to the limit.

        Returns slot and sequence number of the first one, None when there is none.
        """
        key = self._reader.keys.epoch(self._epoch).journal
        last = self._last_id.decode()
        newest_first: list[Followed] = []
        while len(newest_first) < self.history.limit:
            page: Any = await self._client.xrevrange(key, last, "-", count=_COMMITS)
            for name, fields in page:
                for entry in reversed(journal_entries(name, fields)):
                    if (parsed := _parse(entry)) is not None:
                        newest_first.append(Followed(entry, parsed))
            if len(page) < _COMMITS:
                break
            last = "(" + page[-1][0].decode()
        for transaction in reversed(newest_first):
            assert transaction.parsed is not None
            self.history.add(transaction.entry, transaction.parsed)
        return (newest_first[-1].entry.slot, newest_first[-1].entry.seq) if newest_first else None


def _images(slot: int) -> str:
    return "images_odd" if slot % 2 else "images_even"


def _parse(entry: JournalEntry) -> VersionedTransaction | None:
    return VersionedTransaction.from_bytes(entry.raw) if entry.raw else None
