"""Dead letters of the ledger: transactions given up, and messages that never were one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from banking.ledger.dead_letters import open_dead_letters
from banking.ledger.ledger import Ledger
from banking.ledger.scripts import DROP, GIVE_UP, REPLAY
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.dead_letters import DeadLetter, DeadLettersFullError, LetterLimits, pack_letter

TRANSACTION = "transaction"
MALFORMED = "malformed"


class ReplayOutcome(Enum):
    """What became of a dead letter that was to live again."""

    GONE = 0
    REPLAYED = 1
    RESOLVED = 2


@dataclass(frozen=True, slots=True)
class Replayed:
    """Answer to `replay`: `at` is Redis time in milliseconds."""

    at: int
    outcome: ReplayOutcome


class TransactionDeadLetters:
    """Writes the dead letters of one ledger. Raises LedgerUnavailable, LedgerMissing, StaleEpoch."""

    def __init__(self, ledger: Ledger, *, clock: Clock = SYSTEM_CLOCK, limits: LetterLimits | None = None) -> None:
        self._ledger = ledger
        self._clock = clock
        self.limits = limits or LetterLimits()
        self.letters = open_dead_letters(ledger, self.limits)

    def add(self, signature: bytes, raw: bytes, reason: str, attempts: int, message_hash: bytes = b"") -> bool:
        """Move a transaction from intake to the dead letters; False when it has its outcome or is there already.

        By `message_hash` its claim to the message is dropped. Raises DeadLettersFullError: then it is where it was.
        """
        letter = self._letter(signature, TRANSACTION, raw, reason, attempts)
        added = self._ledger.run(
            GIVE_UP,
            [self._ledger.epoch, signature, pack_letter(letter), self.limits.letters, self.limits.bytes, message_hash],
        )
        if added < 0:
            raise DeadLettersFullError
        return bool(added)

    def replay(self, letter: DeadLetter) -> Replayed:
        """Move a transaction's letter back into intake, its attempts forgotten, in one atomic step.

        The sweeper enqueues it, unless the caller does so sooner. RESOLVED: it has its outcome after all, and the
        letter was dropped. Raises ValueError for letters of another kind.
        """
        if letter.kind != TRANSACTION:
            raise ValueError(f"a letter of kind {letter.kind!r} holds no transaction")
        at, code = self._ledger.run(REPLAY, [self._ledger.epoch, letter.id, pack_letter(letter), letter.payload])
        return Replayed(int(at), ReplayOutcome(int(code)))

    def drop(self, id: bytes) -> bool:
        """Forget a letter for good; False when there is none."""
        return bool(self._ledger.run(DROP, [self._ledger.epoch, id]))

    def add_foreign(self, name: bytes, payload: bytes, reason: str) -> bool:
        """Keep what is no transaction. Raises DeadLettersFullError beyond the limit."""
        letter = self._letter(name, MALFORMED, payload, reason, 1)
        return bool(self._ledger.call(lambda: self.letters.add(letter)))

    def _letter(self, id: bytes, kind: str, payload: bytes, reason: str, attempts: int) -> DeadLetter:
        now = self._clock.time()
        return DeadLetter(
            id=id, kind=kind, payload=payload, reason=reason, attempts=attempts, first_at=now, last_at=now
        )
