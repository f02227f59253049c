"""The ledger read from an event loop: its counters, and whatever `banking.ledger.reads` names, of one moment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

import redis
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from banking.errors import LedgerMissing, LedgerRestoring, LedgerUnavailable
from banking.ledger.journal import JournalEntry, journal_entries
from banking.ledger.keys import LedgerKeys
from banking.ledger.layout import served_epoch
from banking.ledger.reads import SCRIPTS, Read
from banking.ledger.redis_errors import unavailable
from banking.ledger.stored_account import record_of

Answer = TypeVar("Answer")

#: How a ledger that cannot be read now says so.
LEDGER_UNREADABLE = (LedgerUnavailable, LedgerMissing, LedgerRestoring)


class Snapshot:
    """The ledger's counters at one moment, and the answers to what was read in that moment."""

    def __init__(
        self, epoch: int, meta: dict[bytes, bytes], state: dict[bytes, bytes], replies: Mapping[Read[Any], Any]
    ) -> None:
        self.epoch = epoch
        self._meta = meta
        self._state = state
        self._replies = replies

    def answer(self, read: Read[Answer]) -> Answer:
        """What `read`, the very one that was asked with, found."""
        return read.parse(self._replies[read])

    @cached_property
    def slot(self) -> int:
        """The open slot: what is processed stands in it or before it."""
        return self._number(b"slot")

    @cached_property
    def finalized(self) -> int:
        """The newest slot whose block is in the archive (0: the genesis)."""
        return self._number(b"finalized")

    @property
    def finalized_seq(self) -> int:
        """The last sequence number in the slots up to `finalized`."""
        return self._number(b"finalized_seq")

    @property
    def seq(self) -> int:
        """The last sequence number that was given out."""
        return self._number(b"seq")

    @property
    def slot_time_ms(self) -> int:
        """The time of the block before the open slot, in Unix milliseconds."""
        return self._number(b"slot_time")

    @property
    def blockhash(self) -> bytes:
        """The newest blockhash, 32 bytes."""
        return self._state.get(b"blockhash", b"")

    @property
    def ledger_id(self) -> str:
        return self._meta[b"ledger_id"].decode()

    @property
    def supply(self) -> int:
        """Lamports of the genesis."""
        return int(self._meta[b"supply"])

    @property
    def burned(self) -> int:
        """Lamports of fees so far."""
        return self._number(b"burned")

    @property
    def transactions(self) -> int:
        """Outcomes so far, successes and failures."""
        return self._number(b"processed") + self._number(b"failed")

    def _number(self, name: bytes) -> int:
        return int(self._state.get(name, b"0"))


class AsyncLedger:
    """Reads ledger `name` through `client`. All raise what is in `LEDGER_UNREADABLE`."""

    def __init__(self, client: Redis, name: str) -> None:
        self._client = client
        self._keys = LedgerKeys(name)
        self._epoch: int | None = None
        #: Epoch and finalized slot of the newest snapshot.
        self._newest = (0, 0)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def read(self, groups: Sequence[Sequence[Read[Any]]]) -> list[Snapshot]:
        """A snapshot for each group of reads, all of one moment and in one round trip.

        Raises `redis.ResponseError` when Redis refuses one of them.
        """
        if self._epoch is None:
            fields: Any = await self._call(self._client.hmget(self._keys.meta, "epoch", "layout"))
            self._epoch = served_epoch(self._keys.name, *fields)
        while True:
            # Answers on several connections may overtake each other: only what was known before counts.
            epoch, newest = self._epoch, self._newest
            meta, state, *replies = await self._call(self._round_trip(epoch, groups))
            current = served_epoch(self._keys.name, meta.get(b"epoch"), meta.get(b"layout"))
            if current == epoch:
                break
            self._epoch = current
        remaining = iter(replies)
        snapshots = [Snapshot(epoch, meta, state, {read: next(remaining) for read in group}) for group in groups]
        self._check_forward(snapshots[0], newest)
        return snapshots

    async def read_each(self, groups: Sequence[Sequence[Read[Any]]]) -> Sequence[Snapshot | BaseException]:
        """As `read`, but a read that Redis refuses, or cannot answer now, fails its own group alone."""
        try:
            return await self.read(groups)
        except redis.ResponseError:
            return [await self._read_group(group) for group in groups]

    async def account_pages(self, epoch: int, page: int) -> AsyncIterator[dict[bytes, bytes]]:
        """The records of all accounts by key, about `page` at a time.

        What changes meanwhile is told as before or as after, and an account may come twice.
        """
        cursor: Any = 0
        while True:
            found: Any = await self._call(self._client.hscan(self._keys.epoch(epoch).accounts, cursor, count=page))
            cursor, values = found
            yield {key: record_of(stored) for key, stored in values.items()}
            if not cursor:
                return

    async def await_entries(
        self, epoch: int, after: tuple[int, int], *, most: int, patience_ms: int
    ) -> list[JournalEntry]:
        """The journal entries of at most `most` commits behind `after` (slot and sequence number).

        When there are none, the first are awaited for `patience_ms` milliseconds, on a connection that nobody else
        can use meanwhile.
        """
        slot, seq = after
        streams: dict[Any, Any] = {self._keys.epoch(epoch).journal: f"{slot}-{seq}"}
        reply: Any = await self._call(self._client.xread(streams, count=most, block=patience_ms))
        if not reply:
            return []
        ((_, pages),) = reply.items() if isinstance(reply, dict) else reply
        # RESP3 answers with a dictionary, and with a list around the page.
        page = pages[0] if isinstance(reply, dict) else pages
        return [entry for name, fields in page for entry in journal_entries(name, fields)]

    async def entries_back_from(self, epoch: int, last: tuple[int, int], page: int) -> AsyncIterator[JournalEntry]:
        """The journal's entries from `last` (slot, sequence number) on, the newest first, `page` commits at a time."""
        end = "{}-{}".format(*last)
        while True:
            found: Any = await self._call(self._client.xrevrange(self._keys.epoch(epoch).journal, end, "-", count=page))
            for name, fields in found:
                for entry in reversed(journal_entries(name, fields)):
                    if (entry.slot, entry.seq) <= last:
                        yield entry
            if len(found) < page:
                return
            end = "(" + found[-1][0].decode()

    async def _read_group(self, group: Sequence[Read[Any]]) -> Snapshot | BaseException:
        try:
            return (await self.read([group]))[0]
        except (*LEDGER_UNREADABLE, redis.ResponseError) as error:
            return error

    async def _round_trip(self, epoch: int, groups: Sequence[Sequence[Read[Any]]]) -> list[Any]:
        try:
            return await self._asked(epoch, groups)
        except NoScriptError:
            # A new server, or one whose scripts were flushed; inside a MULTI nothing can be sent after the hash.
            for script in SCRIPTS:
                await self._client.script_load(script.source)
            return await self._asked(epoch, groups)

    async def _asked(self, epoch: int, groups: Sequence[Sequence[Read[Any]]]) -> list[Any]:
        epoch_keys = self._keys.epoch(epoch)
        pipe = self._client.pipeline(transaction=True)
        pipe.hgetall(self._keys.meta)
        pipe.hgetall(epoch_keys.state)
        for group in groups:
            for read in group:
                pipe.execute_command(*read.command(self._keys, epoch_keys))
        replies: list[Any] = await pipe.execute()
        return replies

    async def _call(self, command: Awaitable[Answer]) -> Answer:
        try:
            return await command
        except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError) as error:
            outage = unavailable(error, doing="read")
            if outage is not None:
                raise outage from error
            raise

    def _check_forward(self, snapshot: Snapshot, newest: tuple[int, int]) -> None:
        """Raises LedgerUnavailable when Redis has lost what was known to be final: a worker will restore it."""
        if snapshot.epoch == newest[0] and snapshot.finalized < newest[1]:
            raise LedgerUnavailable(f"Redis is back at slot {snapshot.finalized}, and {newest[1]} was final")
        self._newest = max(self._newest, (snapshot.epoch, snapshot.finalized))
