"""Work that was given up, kept until somebody replays or drops it.

One Redis hash, `{prefix}:dead`: field = the letter's id (bytes), value = `pack_letter(letter)`. The value is
opaque to Redis, so that any other Lua script may move a ready-packed letter into the same hash in its own
atomic step. It must then keep `{prefix}:dead-bytes` right: the bytes of all ids and letters together.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec
import redis

from recovery.errors import RecoveryError
from recovery.scripts import Argument, LuaScript

logger = logging.getLogger(__name__)

_LUA = Path(__file__).parent / "lua"
_ADD = LuaScript(_LUA / "dead_letter_add.lua")
_POP = LuaScript(_LUA / "dead_letter_pop.lua")
_DROP = LuaScript(_LUA / "dead_letter_drop.lua")

UNREADABLE = "unreadable"
#: Seconds for which redeliveries are counted together.
REDELIVERY_MEMORY = 86_400


@dataclass(frozen=True, slots=True)
class LetterLimits:
    """Full is what holds `letters` letters, or `bytes` bytes of them; the last one may exceed the bytes."""

    letters: int = 10_000
    bytes: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        if self.letters < 1 or self.bytes < 1:
            raise ValueError(f"limits must be at least 1, not {self!r}")

    def share(self, letters: int, size: int) -> float:
        """How full: 1 and more is full."""
        return max(letters / self.letters, size / self.bytes)


class DeadLetter(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """One piece of work that was given up. Times are seconds since the Unix epoch."""

    id: bytes
    #: What the payload is, such as a task's name.
    kind: str
    payload: bytes
    reason: str
    attempts: int
    first_at: float
    last_at: float


class DeadLettersFullError(RecoveryError):
    """The dead letters are full; replay or drop some, or raise the limit."""


class UnreadableLetterError(RecoveryError):
    """A dead letter's record cannot be read; drop it, or restore it from a checkpoint."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(DeadLetter)


def pack_letter(letter: DeadLetter) -> bytes:
    """The record as it is stored: a msgpack array of the fields in their order."""
    return _encoder.encode(letter)


def unpack_letter(record: bytes) -> DeadLetter:
    """The letter in `record`. Raises UnreadableLetterError."""
    try:
        return _decoder.decode(record)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise UnreadableLetterError(f"The record of a dead letter cannot be read: {error}") from None


class DeadLetters:
    """The dead letters under `prefix`. Raises what redis-py raises when Redis is away.

    At most `limit` of them, or what `limits` says. `client` must answer in bytes (redis-py's default, not
    `decode_responses=True`).
    """

    def __init__(
        self, client: redis.Redis, prefix: str, *, limit: int | None = None, limits: LetterLimits | None = None
    ) -> None:
        self.limits = limits or LetterLimits(**({} if limit is None else {"letters": limit}))
        self.key = f"{prefix}:dead"
        self.bytes_key = f"{prefix}:dead-bytes"
        self._client = client

    def add(self, letter: DeadLetter) -> bool:
        """Keep `letter`; False when one with its id is kept already (that one stays as it is).

        Raises DeadLettersFullError: nothing is thrown out to make room.
        """
        arguments: list[Argument] = [letter.id, pack_letter(letter), self.limits.letters, self.limits.bytes]
        added = int(_ADD(self._client, [self.key, self.bytes_key], arguments))
        if added < 0:
            logger.error("Dead letters %s are full: refused %s", self.key, _shown(letter.id))
            raise DeadLettersFullError(
                f"{self.key} has reached its limit, {self.limits.letters} dead letters or {self.limits.bytes} bytes; "
                "replay or drop some, or raise the limit."
            )
        return added == 1

    def count(self) -> int:
        """How many there are."""
        return int(self._client.hlen(self.key))

    def size(self) -> tuple[int, int]:
        """How many there are, and how many bytes."""
        with self._client.pipeline(transaction=True) as pipe:
            pipe.hlen(self.key)
            pipe.get(self.bytes_key)
            letters, size = pipe.execute()
        return int(letters), max(0, int(size or 0))

    def list(self, *, after: bytes = b"", limit: int = 100) -> list[DeadLetter]:
        """Up to `limit` letters in the order of their ids, beginning behind `after` (the last id of a page).

        A record that cannot be read is shown as a letter of kind "unreadable" with the record as its payload.
        """
        ids = sorted(id for id in cast("Iterable[bytes]", self._client.hkeys(self.key)) if id > after)[:limit]
        if not ids:
            return []
        records = cast("Iterable[bytes | None]", self._client.hmget(self.key, ids))
        return [_shown_letter(id, record) for id, record in zip(ids, records, strict=True) if record is not None]

    def some(self, limit: int, *, most_bytes: int = 1024 * 1024) -> Sequence[DeadLetter]:
        """At most `limit` letters by their ids, any when there are more: bounded, however many are kept.

        One that would exceed `most_bytes` together with those before it is shown by its id alone, as "too large".
        """
        drawn = cast("Iterable[bytes] | None", self._client.hrandfield(self.key, limit))
        with self._client.pipeline(transaction=False) as pipe:
            ids = sorted(drawn or ())
            for id in ids:
                pipe.hstrlen(self.key, cast("Any", id))
            sizes = [int(size) for size in pipe.execute()]
        light, room = [], most_bytes
        for id, size in zip(ids, sizes, strict=True):
            if size <= room:
                light.append(id)
                room -= size
        records = dict(zip(light, cast("Any", self._client.hmget(self.key, light)) if light else (), strict=True))
        # None: dropped meanwhile.
        gone = {id for id, record in records.items() if record is None}
        kept = [id for id in ids if id not in gone]
        return [_shown_letter(id, records[id]) if id in records else _large_letter(id) for id in kept]

    def get(self, id: bytes) -> DeadLetter | None:
        """The letter `id`, or None. Raises UnreadableLetterError."""
        record = self._record(id)
        return None if record is None else unpack_letter(record)

    def drop(self, id: bytes) -> bool:
        """Forget the letter `id` for good; False when there was none."""
        return bool(_DROP(self._client, [self.key, self.bytes_key], [id]))

    def pop_for_replay(self, id: bytes) -> DeadLetter | None:
        """Take the letter `id` out, to run it again: of several callers one gets it, the others None.

        From here on the caller alone has it: if it may die before the work is safe again, use `replay`.
        Raises UnreadableLetterError, and keeps the record, when it cannot be read.
        """
        record = self._record(id)
        if record is None:
            return None
        letter = unpack_letter(record)
        return letter if self._take(id, record) else None

    def replay(self, id: bytes, send: Callable[[DeadLetter], object]) -> bool:
        """`send` the letter `id`, and only then take it out; False when there is none.

        A kill in between sends it again at the next replay: what it starts must bear that (same task id).
        """
        record = self._record(id)
        if record is None:
            return False
        send(unpack_letter(record))
        self._take(id, record)
        return True

    def count_redelivery(self, id: bytes) -> int:
        """Count that the work `id` was delivered once more; returns how often so far. Forgotten after a day.

        For work that may be killing its worker: nobody is left to write a letter then, so its next run must know.
        """
        key = b"%s:redelivered:%s" % (self.key.encode(), id)
        with self._client.pipeline(transaction=True) as pipe:
            pipe.incr(key)
            pipe.expire(key, REDELIVERY_MEMORY)
            return int(pipe.execute()[0])

    def _record(self, id: bytes) -> bytes | None:
        return cast("bytes | None", self._client.hget(self.key, id))

    def _take(self, id: bytes, record: bytes) -> bool:
        return _POP(self._client, [self.key, self.bytes_key], [id, record]) is not None


def _shown_letter(id: bytes, record: bytes) -> DeadLetter:
    try:
        return unpack_letter(record)
    except UnreadableLetterError as error:
        logger.warning("Dead letter %s: %s", _shown(id), error)
        return DeadLetter(
            id=id, kind=UNREADABLE, payload=record, reason=str(error), attempts=0, first_at=0.0, last_at=0.0
        )


def _large_letter(id: bytes) -> DeadLetter:
    return DeadLetter(id=id, kind="too large", payload=b"", reason="too large", attempts=0, first_at=0.0, last_at=0.0)


def _shown(id: bytes) -> str:
    return id.decode("ascii", errors="backslashreplace")
