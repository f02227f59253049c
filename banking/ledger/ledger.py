"""The ledger in Redis: what is read and written, each in one atomic round trip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar, cast

import redis

from banking.errors import (
    LedgerMissing,
    LedgerRestoring,
    StaleEpoch,
)
from banking.ledger.batch_record import BatchRecord, unpack_batch
from banking.ledger.commit_request import CommitRequest, commit_arguments
from banking.ledger.keys import EpochKeys, LedgerKeys
from banking.ledger.layout import RESTORING, served_epoch
from banking.ledger.limits import LOAD_BYTES, SLOT_LIMITS, SlotLimits
from banking.ledger.loaded_state import LoadedState
from banking.ledger.records import Outcome, unpack_outcome, unpack_refusal
from banking.ledger.redis_errors import unavailable
from banking.ledger.scripts import COMMIT, LOAD, LOAD_BATCH, LUA, STATE, LedgerScript
from banking.ledger.slot_context import SlotContext, slot_context
from banking.ledger.stored_account import record_of, unfold
from banking.ledger.turns import ASKING, MOST_WAITS, MUST_WAIT, TURN_MS, patience
from banking.ledger.versions import new_mark
from recovery.scripts import Argument

#: Slots that a blockhash stays valid, and slots that blockhashes are kept (Solana's numbers).
MAX_BLOCKHASH_AGE = 150
BLOCKHASH_HISTORY = 300
#: Refusals without a fee that are remembered, so that their senders can be told.
MAX_REFUSALS = 100_000

Reply = TypeVar("Reply")
Loaded = TypeVar("Loaded", bound=tuple[Any, ...])


@dataclass(frozen=True, slots=True)
class CommitResult:
    """Answer of the commit script: `codes` has one letter for each entry."""

    slot: int
    first_seq: int
    codes: str


@dataclass(frozen=True, slots=True)
class State:
    """The ledger's counters. Lamports are exact; times are milliseconds since the Unix epoch.

    `slot` is the open one, `finalized` the newest that is in the archive, up to `finalized_seq`; `closing` says
    that one between them waits for its block, and `closing_time_ms` and `closing_seq` what that block must say.
    """

    ledger_id: str
    epoch: int
    supply: int
    slot: int
    slot_time_ms: int
    seq: int
    blockhash: bytes
    burned: int
    processed: int
    failed: int
    refused: int
    dropped: int
    accepted: int
    finalized: int
    finalized_seq: int
    closing: bool
    closing_time_ms: int = 0
    closing_seq: int = 0
    #: Bytes that the open slot, and the closed one that waits, will have in their blocks (see `banking.ledger.limits`).
    slot_bytes: int = 0
    closing_bytes: int = 0


class Ledger:
    """Ledger `name` behind `client`. Knows the epoch it works in; a restore by others raises StaleEpoch once."""

    def __init__(
        self, client: redis.Redis, name: str, *, epoch: int | None = None, limits: SlotLimits = SLOT_LIMITS
    ) -> None:
        self.client = client
        self.limits = limits
        self.keys = LedgerKeys(name)
        self._epoch = epoch
        self._context: tuple[int, SlotContext] | None = None
        #: Whether batches were executed by turns when it was last heard of.
        self._turns = False

    @property
    def name(self) -> str:
        return self.keys.name

    @property
    def prefix(self) -> str:
        """What all its Redis keys begin with."""
        return self.keys.prefix

    @property
    def epoch(self) -> int:
        """The epoch this view works in. Raises LedgerMissing, LedgerUnavailable."""
        if self._epoch is None:
            self._epoch = self._read_epoch()
        return self._epoch

    @property
    def epoch_keys(self) -> EpochKeys:
        return self.keys.epoch(self.epoch)

    def exists(self) -> bool:
        """Whether the ledger was initialised."""
        return bool(self.call(lambda: self.client.hexists(self.keys.meta, "epoch")))

    def run(
        self, script: LedgerScript[Reply], args: Sequence[Argument], *, epoch: int | None = None, loaded: str = ""
    ) -> Reply:
        """Run a script on this ledger's keys. Raises StaleEpoch, LedgerMissing, LedgerUnavailable.

        `epoch` is given where it is not the one that is served, `loaded` (the token of a lease) during a restore.
        """
        epoch_keys = None
        if script.needs_epoch:
            epoch_keys = self.epoch_keys if epoch is None else self.keys.epoch(epoch)
        keys = script.key_names(self.keys, epoch_keys, self.keys.staging(loaded) if loaded else None)
        return cast("Reply", self.call(lambda: LUA[script.name](self.client, keys, args)))

    def call(self, command: Any) -> Any:
        """Run `command`, turning what Redis says into this room's errors."""
        try:
            return command()
        except (redis.ResponseError, redis.ConnectionError, redis.TimeoutError) as error:
            self._explain(error)

    def server_ms(self) -> int:
        """The server's clock, in milliseconds since the Unix epoch. Raises LedgerUnavailable."""
        seconds, micros = self.call(self.client.time)
        return int(seconds) * 1000 + int(micros) // 1000

    def load(
        self,
        signatures: Sequence[bytes],
        blockhashes: Sequence[bytes],
        accounts: Sequence[bytes],
        at_hand: Mapping[bytes, bytes],
        *,
        most_bytes: int = LOAD_BYTES,
        turn: bytes = b"",
    ) -> LoadedState:
        """Read what a batch needs in one round trip; records of the versions `at_hand` are not sent again.

        Once the records exceed `most_bytes`, the `accounts` behind them are left out. `turn` is the one that the caller
        still has, or `ASKING`: then it waits for one while batches are executed by turns (`banking.ledger.turns`).
        """
        context = self._known_context()
        wanted: list[Argument] = []
        for key in accounts:
            wanted += (key, at_hand.get(key, b""))
        fixed: list[Argument] = [self.epoch, MAX_BLOCKHASH_AGE, context.token if context else b""]
        asked: list[Argument] = [
            len(signatures),
            *signatures,
            len(blockhashes),
            *blockhashes,
            len(accounts),
            *wanted,
            most_bytes,
        ]
        answer = self._in_turn(turn, lambda taken: self.run(LOAD, [*fixed, taken, TURN_MS, *asked]))
        slot, time_ms, resolved, valid, versions, records, accepted, kept, looked_at, turn = answer
        seen = accounts[:looked_at]
        unfold(versions, records)
        return LoadedState(
            context=self._context_of(context, slot, time_ms, kept),
            resolved=[letter != ord("0") for letter in resolved],
            refused=[letter == ord("2") for letter in resolved],
            recent={value: letter == ord("1") for value, letter in zip(blockhashes, valid, strict=True)},
            versions=dict(zip(seen, versions, strict=False)),
            records=dict(zip(seen, records, strict=False)),
            accepted=accepted,
            left_out=frozenset(accounts[looked_at:]),
            turn=turn,
        )

    def load_batch(
        self, batch: bytes, at_hand: Mapping[bytes, bytes], *, most_bytes: int = LOAD_BYTES
    ) -> tuple[BatchRecord, LoadedState] | None:
        """Read a batch and what it needs in one round trip; as `load`, but the accounts `at_hand` are read as well.

        None when it is not in intake as a whole: all of it, or some, has its end or goes by itself. While batches are
        executed by turns, it waits for one; that is handed on by the commit, or lost.
        """
        context = self._known_context()
        pairs: list[Argument] = [part for pair in at_hand.items() for part in pair]
        token = context.token if context else b""
        fixed: list[Argument] = [self.epoch, MAX_BLOCKHASH_AGE, token, batch, most_bytes]
        answer = self._in_turn(ASKING, lambda taken: self.run(LOAD_BATCH, [*fixed, taken, TURN_MS, *pairs]))
        slot, time_ms, stored, valid, versions, records, kept, looked_at, turn = answer
        if not stored:
            return None
        record = unpack_batch(batch, stored)
        unfold(versions, records)
        accounts = [*record.accounts, *at_hand]
        count = len(record.transactions)
        return record, LoadedState(
            context=self._context_of(context, slot, time_ms, kept),
            resolved=[False] * count,
            refused=[False] * count,
            recent={value: letter == ord("1") for value, letter in zip(record.blockhashes, valid, strict=True)},
            versions=dict(zip(accounts[:looked_at], versions, strict=False)),
            records=dict(zip(accounts[:looked_at], records, strict=False)),
            accepted=[b""] * count,
            left_out=frozenset(accounts[looked_at:]),
            turn=turn,
        )

    def _in_turn(self, turn: bytes, load: Callable[[bytes], Loaded]) -> Loaded:
        """What `load` answers, the last of which is the turn that it got, once it got one or needs none."""
        bound = self.client.connection_pool.connection_kwargs.get("socket_timeout")

        def wait() -> bytes:
            found = self.call(lambda: self.client.blpop([self.epoch_keys.turns], patience(bound)))
            return cast("bytes", found[1]) if found else ASKING

        if turn == ASKING and self._turns:
            turn = wait()
        for _ in range(MOST_WAITS):
            answer = load(turn)
            if answer[-1] != MUST_WAIT:
                break
            turn = wait()
        else:
            answer = load(b"")
        if turn:
            self._turns = answer[-1] != b""
        return answer

    def _known_context(self) -> SlotContext | None:
        return self._context[1] if self._context and self._context[0] == self.epoch else None

    def _context_of(
        self, known: SlotContext | None, slot: bytes, time_ms: bytes, blockhashes: Sequence[bytes]
    ) -> SlotContext:
        """The context that a load answered: the one `known`, or a new one of the `blockhashes` that came along."""
        if known is not None and known.token == slot + b":" + time_ms:
            return known
        pairs = zip(blockhashes[::2], map(int, blockhashes[1::2]), strict=True)
        context = slot_context(int(slot), int(time_ms), pairs)
        self._context = self.epoch, context
        return context

    def commit(
        self,
        entries: Sequence[CommitRequest],
        versions: Mapping[bytes, bytes],
        enqueued_at: int = 0,
        *,
        context: SlotContext | None = None,
        batch: bytes = b"",
        turn: bytes = b"",
    ) -> CommitResult:
        """Commit a batch; `versions` and `context` are what the executions were based on.

        `enqueued_at` is in milliseconds. Without `context` none of them saw its slot. `batch` is the id of what intake
        holds, if the entries are all of it, in its order; `turn` what its load brought, to be handed on.
        """
        slot, first, codes = self.run(
            COMMIT,
            [
                self.epoch,
                enqueued_at,
                MAX_BLOCKHASH_AGE,
                new_mark(),
                self.limits.shared,
                self.limits.most,
                context.token if context else b"",
                MAX_REFUSALS,
                *commit_arguments(entries, versions, batch, turn),
            ],
        )
        return CommitResult(int(slot), int(first), codes.decode())

    def state(self) -> State:
        """The counters, read in one atomic step. Raises LedgerMissing, LedgerUnavailable."""
        facts, counters = self.run(STATE, [])
        meta, state = _pairs(facts), _pairs(counters)
        if not meta:
            raise LedgerMissing(self.keys.name)
        if meta[b"epoch"] != str(self.epoch).encode():
            self._epoch = None
            return self.state()
        return _state(meta, state)

    def outcomes(self, signatures: Sequence[bytes]) -> list[Outcome | None]:
        """The recorded outcomes, None where there is none yet."""
        if not signatures:
            return []
        values = self.call(lambda: self.client.hmget(self.epoch_keys.status, list(signatures)))
        return [unpack_outcome(value) if value else None for value in values]

    def refusals(self, signatures: Sequence[bytes]) -> list[str | None]:
        """Why each was refused without a fee (Solana's TransactionError as JSON text), None where it was not."""
        if not signatures:
            return []
        values = self.call(lambda: self.client.hmget(self.epoch_keys.refusals, list(signatures)))
        return [unpack_refusal(value) if value else None for value in values]

    def settled(self, signatures: Sequence[bytes]) -> list[tuple[Outcome, bool] | None]:
        """The outcomes, and whether each is final (its block is in the archive), all of one moment.

        Ask for both together: an outcome read before a restore must not be compared with the slots after it.
        """

        def read() -> Any:
            pipe = self.client.pipeline(transaction=True)
            pipe.hget(self.keys.meta, "epoch")
            pipe.hget(self.epoch_keys.state, "finalized")
            pipe.hmget(self.epoch_keys.status, list(signatures))
            return pipe.execute()

        while True:
            epoch, finalized, values = self.call(read)
            if epoch == str(self.epoch).encode():
                break
            self.forget_epoch()
        found = [unpack_outcome(value) if value else None for value in values]
        return [(outcome, outcome.slot <= int(finalized or -1)) if outcome else None for outcome in found]

    def account(self, key: bytes) -> bytes:
        """The record of one account, b"" when it is absent."""
        stored: bytes | None = self.call(lambda: self.client.hget(self.epoch_keys.accounts, cast("Any", key)))
        return record_of(stored or b"")

    def forget_epoch(self) -> None:
        """Look the epoch up again at the next use."""
        self._epoch = None

    def _read_epoch(self) -> int:
        return served_epoch(self.keys.name, *self.call(lambda: self.client.hmget(self.keys.meta, "epoch", "layout")))

    def _explain(self, error: redis.RedisError) -> NoReturn:
        text = str(error)
        if text.startswith("STALE_EPOCH"):
            self._epoch = None
            if text.endswith("none"):
                raise LedgerMissing(self.keys.name) from error
            if text.endswith(RESTORING.decode()):
                raise LedgerRestoring(f"ledger {self.keys.name!r} is being restored from its archive") from error
            raise StaleEpoch(f"ledger {self.keys.name!r} was restored: {text}") from error
        outage = unavailable(error, doing="write")
        if outage is not None:
            raise outage from error
        raise error


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _state(meta: dict[bytes, bytes], state: dict[bytes, bytes]) -> State:
    def number(name: bytes) -> int:
        return int(state.get(name, b"0"))

    return State(
        ledger_id=meta[b"ledger_id"].decode(),
        epoch=int(meta[b"epoch"]),
        supply=int(meta[b"supply"]),
        slot=number(b"slot"),
        slot_time_ms=number(b"slot_time"),
        seq=number(b"seq"),
        blockhash=state.get(b"blockhash", b""),
        burned=number(b"burned"),
        processed=number(b"processed"),
        failed=number(b"failed"),
        refused=number(b"refused"),
        dropped=number(b"dropped"),
        accepted=number(b"accepted"),
        finalized=number(b"finalized"),
        finalized_seq=number(b"finalized_seq"),
        closing=bool(state.get(b"closing")),
        closing_time_ms=number(b"closing_time"),
        closing_seq=number(b"closing_last"),
        slot_bytes=number(b"bytes"),
        closing_bytes=number(b"closing_bytes") if state.get(b"closing") else 0,
    )
