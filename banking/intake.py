"""Intake: the durable record of every accepted, unresolved transaction (D1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from banking.ledger import Ledger

#: Pairs in one script call; Lua's unpack and Redis' latency both want a bound.
MOST_AT_ONCE = 256


class Acceptance(StrEnum):
    """What intake says of one transaction."""

    ACCEPTED = "A"
    DUPLICATE_PENDING = "D"
    DUPLICATE_RESOLVED = "P"
    DUPLICATE_DEAD = "X"
    FULL = "F"


@dataclass(frozen=True, slots=True)
class Accepted:
    """Answer to `accept`: `at` is Redis time in milliseconds, `answers` are in the order asked."""

    at: int
    answers: list[Acceptance]


@dataclass(frozen=True, slots=True)
class Sweep:
    """What to enqueue again, as raw transactions; `at` is Redis time in milliseconds."""

    at: int
    released: list[bytes]
    lost: list[bytes]
    suspects: list[bytes]


class Intake:
    """Intake of one ledger. All methods raise LedgerUnavailable, LedgerMissing, StaleEpoch."""

    def __init__(self, ledger: Ledger, *, limit: int = 1_000_000) -> None:
        self._ledger = ledger
        self._limit = limit

    def accept(self, pairs: Sequence[tuple[bytes, bytes]]) -> Accepted:
        """Record up to 256 (signature, raw transaction) pairs, all in one atomic step."""
        if not 0 < len(pairs) <= MOST_AT_ONCE:
            raise ValueError(f"{len(pairs)} pairs; give 1 to {MOST_AT_ONCE}")
        keys, epoch_keys = self._ledger.keys, self._ledger.epoch_keys
        at, codes = self._ledger.run(
            "accept",
            [keys.meta, epoch_keys.state, epoch_keys.status, keys.intake, keys.queued, keys.dead],
            [self._ledger.epoch, self._limit, *(part for pair in pairs for part in pair)],
        )
        return Accepted(int(at), [Acceptance(letter) for letter in codes.decode()])

    def park(self, pairs: Sequence[tuple[bytes, bytes]], delay: float) -> int:
        """Put transactions off for `delay` seconds; returns how many are parked now."""
        keys, epoch_keys = self._ledger.keys, self._ledger.epoch_keys
        parked = 0
        for first in range(0, len(pairs), MOST_AT_ONCE):
            some = pairs[first : first + MOST_AT_ONCE]
            parked += self._ledger.run(
                "park",
                [
                    keys.meta,
                    epoch_keys.state,
                    epoch_keys.status,
                    keys.intake,
                    keys.queued,
                    keys.parked,
                    keys.dead,
                ],
                [self._ledger.epoch, int(delay * 1000), *(part for pair in some for part in pair)],
            )
        return parked

    def sweep(self, *, grace: float, queue_empty: bool, limit: int) -> Sweep:
        """What no message speaks for any more; see `lua/sweep.lua`. `grace` is in seconds."""
        keys = self._ledger.keys
        at, released, lost, suspects = self._ledger.run(
            "sweep",
            [keys.intake, keys.queued, keys.parked, keys.attempts, self._ledger.epoch_keys.state],
            [int(grace * 1000), int(queue_empty), limit],
        )
        return Sweep(int(at), released, lost, suspects)

    def begin_attempt(self, signature: bytes) -> int:
        """Note that a suspect is about to run; returns its runs without an end so far, this one included."""
        client, key = self._ledger.client, self._ledger.keys.attempts
        return int(self._ledger.call(lambda: client.hincrby(key, signature, 1)))

    def attempts(self, signatures: Sequence[bytes]) -> list[int]:
        """Runs of each that ended without a word so far."""
        client, key = self._ledger.client, self._ledger.keys.attempts
        values = self._ledger.call(lambda: client.hmget(key, list(signatures)))
        return [int(value or 0) for value in values]

    def end_attempt(self, signature: bytes) -> None:
        """Take `begin_attempt` back: the run ended by an error that was seen, so it is no killer."""
        client, key = self._ledger.client, self._ledger.keys.attempts
        self._ledger.call(lambda: client.hincrby(key, signature, -1))

    def forget(self, signatures: Sequence[bytes]) -> None:
        """Drop what intake still holds of transactions that have their outcome."""
        if not signatures:
            return
        client, keys = self._ledger.client, self._ledger.keys

        def drop() -> None:
            pipe = client.pipeline(transaction=True)
            pipe.hdel(keys.intake, *signatures)
            pipe.hdel(keys.attempts, *signatures)
            pipe.zrem(keys.queued, *signatures)
            pipe.zrem(keys.parked, *signatures)
            pipe.execute()

        self._ledger.call(drop)
