"""Reading the ledger from an event loop: concurrent reads share one atomic round trip to Redis."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import redis
from redis.asyncio import Redis

from banking.errors import LedgerMissing, LedgerRestoring, LedgerUnavailable
from banking.ledger.keys import LedgerKeys
from banking.ledger.layout import served_epoch
from banking.ledger.redis_errors import unavailable
from rpc.batching import Batcher

#: (Redis command, name of a key in `EpochKeys` or `LedgerKeys`, further arguments).
Command = tuple[str, str, *tuple[Any, ...]]

#: How a ledger that cannot be read now says so.
LEDGER_UNREADABLE = (LedgerUnavailable, LedgerMissing, LedgerRestoring)

_MAX_GROUP = 512
#: A command of ours: `lua/accounts.lua` with its arguments. (EVAL: a MULTI cannot fall back when a hash is unknown.)
ACCOUNTS = "ACCOUNTS"
_READ_ACCOUNTS = (Path(__file__).parent / "lua" / "accounts.lua").read_text()
#: Keys that outlive an epoch; all others are looked up in `EpochKeys`.
_LASTING = frozenset({"meta", "intake", "queued", "parked", "attempts", "dead"})


class Snapshot:
    """The ledger's counters at one moment, and the answers to the commands that were read in that moment."""

    def __init__(self, epoch: int, meta: dict[bytes, bytes], state: dict[bytes, bytes], answers: list[Any]) -> None:
        self.epoch = epoch
        self._meta = meta
        self._state = state
        self.answers = answers

    def number(self, name: str) -> int:
        return int(self._state.get(name.encode(), b"0"))

    @cached_property
    def slot(self) -> int:
        """The open slot: what is processed stands in it or before it."""
        return self.number("slot")

    @cached_property
    def finalized(self) -> int:
        """The newest slot whose block is in the archive (0: the genesis)."""
        return self.number("finalized")

    @property
    def finalized_seq(self) -> int:
        """The last sequence number in the slots up to `finalized`."""
        return self.number("finalized_seq")

    @property
    def seq(self) -> int:
        return self.number("seq")

    @property
    def slot_time_ms(self) -> int:
        return self.number("slot_time")

    @property
    def blockhash(self) -> bytes:
        return self._state.get(b"blockhash", b"")

    @property
    def ledger_id(self) -> str:
        return self._meta[b"ledger_id"].decode()

    @property
    def supply(self) -> int:
        return int(self._meta[b"supply"])

    @property
    def burned(self) -> int:
        return self.number("burned")

    @property
    def transactions(self) -> int:
        """Outcomes so far, successes and failures."""
        return self.number("processed") + self.number("failed")


class LedgerReader:
    """Reads ledger `name` through `client`.

    While a round trip is under way, further reads gather and go together in the next one: under load the cost of
    a round trip is shared, and without load nobody waits.
    """

    def __init__(self, client: Redis, name: str) -> None:
        self.client = client
        self.keys = LedgerKeys(name)
        self._epoch: int | None = None
        self._batcher: Batcher[Sequence[Command], Snapshot] = Batcher(self._serve, max_group=_MAX_GROUP)
        #: Epoch and finalized slot of the newest snapshot.
        self._newest = (0, 0)

    async def read(self, *commands: Command) -> Snapshot:
        """The answers to `commands`, all of one moment. Raises what is in `LEDGER_UNREADABLE`."""
        return await self._batcher.ask(commands)

    async def read_alone(self, *commands: Command) -> Snapshot:
        """As `read`, on a connection of its own: for large answers that must not hold up the small ones."""
        return (await self._read([commands]))[0]

    async def close(self) -> None:
        await self._batcher.close()
        await self.client.aclose()

    async def _serve(self, group: Sequence[Sequence[Command]]) -> Sequence[Snapshot | BaseException]:
        try:
            return await self._read(group)
        except redis.ResponseError:
            # One command that Redis refuses must not spoil its neighbours' answers.
            return [await self._read_one(commands) for commands in group]

    async def _read_one(self, commands: Sequence[Command]) -> Snapshot | BaseException:
        try:
            return (await self._read([commands]))[0]
        except (*LEDGER_UNREADABLE, redis.ResponseError) as error:
            return error

    async def _read(self, groups: Sequence[Sequence[Command]]) -> list[Snapshot]:
        try:
            if self._epoch is None:
                self._epoch = await self._look_up_epoch()
            while True:
                # Answers on several connections may overtake each other: only what was known before counts.
                epoch, newest = self._epoch, self._newest
                meta, state, *answers = await self._round_trip(epoch, groups)
                current = served_epoch(self.keys.name, meta.get(b"epoch"), meta.get(b"layout"))
                if current == epoch:
                    break
                self._epoch = current
        except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError) as error:
            outage = unavailable(error, doing="read")
            if outage is not None:
                raise outage from error
            raise
        remaining = iter(answers)
        snapshots = [Snapshot(epoch, meta, state, [next(remaining) for _ in group]) for group in groups]
        self._check_forward(snapshots[0], newest)
        return snapshots

    async def _round_trip(self, epoch: int, groups: Sequence[Sequence[Command]]) -> list[Any]:
        epoch_keys = self.keys.epoch(epoch)
        pipe = self.client.pipeline(transaction=True)
        pipe.hgetall(self.keys.meta)
        pipe.hgetall(epoch_keys.state)
        for group in groups:
            for name, key, *arguments in group:
                if name == ACCOUNTS:
                    pipe.execute_command(
                        "EVAL", _READ_ACCOUNTS, 2, epoch_keys.accounts, epoch_keys.versions, *arguments
                    )
                    continue
                where = getattr(self.keys if key in _LASTING else epoch_keys, key)
                pipe.execute_command(name, where, *arguments)
        answers: list[Any] = await pipe.execute()
        return answers

    async def _look_up_epoch(self) -> int:
        fields: Any = await self.client.hmget(self.keys.meta, "epoch", "layout")
        return served_epoch(self.keys.name, *fields)

    def _check_forward(self, snapshot: Snapshot, newest: tuple[int, int]) -> None:
        """Raises LedgerUnavailable when Redis has lost what was `known` to be final: a worker will restore it."""
        if snapshot.epoch == newest[0] and snapshot.finalized < newest[1]:
            raise LedgerUnavailable(f"Redis is back at slot {snapshot.finalized}, and {newest[1]} was final")
        self._newest = max(self._newest, (snapshot.epoch, snapshot.finalized))
