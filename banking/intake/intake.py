"""Intake: the durable record of every accepted, unresolved transaction (D1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from banking.ledger.batch_record import new_batch_id, pack_batch
from banking.ledger.ledger import Ledger
from banking.ledger.scripts import ACCEPT, ATTEMPT, DISSOLVE, EXAMINE, PARK, SWEEP
from banking.transaction import AcceptedTransaction, VerifiedTransaction, accepted
from recovery.dead_letters import LetterLimits

#: Pairs in one script call; Lua's unpack and Redis' latency both want a bound.
MAX_AT_ONCE = 256
#: Seconds for which anything is parked at most; what must wait longer is asked again, and parked again.
MAX_PARKING = 10.0


class Acceptance(StrEnum):
    """What intake says of one transaction."""

    ACCEPTED = "A"
    DUPLICATE_PENDING = "D"
    DUPLICATE_RESOLVED = "P"
    DUPLICATE_DEAD = "X"
    FULL = "F"
    UNSEALED = "U"
    LETTERS_FULL = "L"


@dataclass(frozen=True, slots=True)
class Accepted:
    """Answer to `accept`: `at` is Redis time in milliseconds, `answers` are in the order asked.

    `batch` is the id under which they are all together in intake; b"" when each that was accepted has its own record.
    """

    at: int
    answers: list[Acceptance]
    batch: bytes = b""


@dataclass(frozen=True, slots=True)
class LostBatch:
    """A batch that no message speaks for: its id, and of how many transactions."""

    id: bytes
    count: int


@dataclass(frozen=True, slots=True)
class Sweep:
    """What to enqueue again, as raw transactions and as whole batches; `at` is Redis time in milliseconds."""

    at: int
    released: list[bytes]
    lost: list[bytes]
    suspects: list[bytes]
    batches: list[LostBatch] = field(default_factory=list)


#: By the letter's code.
_ACCEPTANCES = {ord(each.value): each for each in Acceptance}


class Intake:
    """Intake of one ledger. All methods raise LedgerUnavailable, LedgerMissing, StaleEpoch."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        limit: int = 1_000_000,
        unsealed_limit: int = 100_000,
        letters: LetterLimits | None = None,
    ) -> None:
        self._ledger = ledger
        self._limit = limit
        self._unsealed_limit = unsealed_limit
        self._letters = letters or LetterLimits()

    def accept(self, pairs: Sequence[tuple[bytes, bytes]]) -> Accepted:
        """Record up to 256 (signature, raw transaction) pairs, all in one atomic step, each by itself."""
        return self._accept(len(pairs), b"", [part for pair in pairs for part in pair])

    def accept_batch(self, transactions: Sequence[VerifiedTransaction]) -> Accepted:
        """Record up to 256 transactions in one atomic step; as a batch, if none of them was there before."""
        return self.accept_record(len(transactions), pack_batch(transactions))

    def accept_record(self, count: int, record: bytes) -> Accepted:
        """As `accept_batch`, for the record of a batch of `count` transactions."""
        return self._accept(count, new_batch_id(), [record])

    def _accept(self, count: int, batch: bytes, what: Sequence[bytes]) -> Accepted:
        if not 0 < count <= MAX_AT_ONCE:
            raise ValueError(f"{count} transactions; give 1 to {MAX_AT_ONCE}")
        limits = (self._limit, self._unsealed_limit, self._letters.letters, self._letters.bytes)
        at, codes, together = self._ledger.run(ACCEPT, [self._ledger.epoch, *limits, batch, *what])
        return Accepted(int(at), [_ACCEPTANCES[code] for code in codes], batch if together == b"1" else b"")

    def dissolve(self, batch: bytes, *, lost: bool = False) -> list[AcceptedTransaction]:
        """What is still in a batch, each with its own record from now on. `lost`: each has a run without an end."""
        return [accepted(raw, message) for message, raw in self.take_apart(batch, lost=lost)]

    def take_apart(self, batch: bytes, *, lost: bool = False) -> list[tuple[bytes, bytes]]:
        """As `dissolve`: pairs of message hash and raw transaction."""
        _, found = self._ledger.run(DISSOLVE, [self._ledger.epoch, batch, int(lost)])
        return list(zip(found[::2], found[1::2], strict=True))

    def park(self, pairs: Sequence[tuple[bytes, bytes]], delay: float) -> int:
        """Put transactions off for `delay` seconds (10 at most); returns how many are parked now."""
        delay = min(delay, MAX_PARKING)
        parked = 0
        for first in range(0, len(pairs), MAX_AT_ONCE):
            some = pairs[first : first + MAX_AT_ONCE]
            parked += self._ledger.run(
                PARK,
                [self._ledger.epoch, int(delay * 1000), *(part for pair in some for part in pair)],
            )
        return parked

    def sweep(self, *, grace: float, queue_empty: bool, limit: int) -> Sweep:
        """What no message speaks for any more; see `lua/sweep.lua`. `grace` is in seconds."""
        at, released, lost, suspects, batches, broken = self._ledger.run(
            SWEEP,
            [self._ledger.epoch, int(grace * 1000), int(queue_empty), limit, int(MAX_PARKING * 1000)],
        )
        for batch, again in zip(broken[::2], broken[1::2], strict=True):
            raws = [raw for _, raw in self.take_apart(batch, lost=True)]
            if again == b"1":
                suspects += raws
            else:
                lost += raws
        whole = [LostBatch(id, int(count)) for id, count in zip(batches[::2], batches[1::2], strict=True)]
        return Sweep(int(at), released, lost, suspects, whole)

    def examine(self, pairs: Sequence[tuple[bytes, bytes]]) -> list[int | None]:
        """What is known of transactions that came again: None = settled, else runs that their worker did not survive.

        Those that intake never held are recorded there.
        """
        found: list[int | None] = []
        for first in range(0, len(pairs), MAX_AT_ONCE):
            some = pairs[first : first + MAX_AT_ONCE]
            counts = self._ledger.run(
                EXAMINE,
                [self._ledger.epoch, *(part for pair in some for part in pair)],
            )
            found += [None if count < 0 else int(count) for count in counts]
        return found

    def begin_attempt(self, signature: bytes) -> int | None:
        """Note that a suspect is about to run; returns its runs without an end so far, this one included.

        None when others brought it to its end meanwhile.
        """
        return self._attempt(signature, 1)

    def end_attempt(self, signature: bytes) -> None:
        """Take `begin_attempt` back: the run came to an end that was seen, so it is no killer."""
        self._attempt(signature, -1)

    def _attempt(self, signature: bytes, change: int) -> int | None:
        count = self._ledger.run(ATTEMPT, [self._ledger.epoch, signature, change])
        return None if count < 0 else count
