"""Which of many submitted transactions have their outcome."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from solders.signature import Signature

from banking.ledger.dead_letters import are_dead_letters
from banking.ledger.ledger import Ledger
from banking.ledger.records import Outcome
from recovery.clock import SYSTEM_CLOCK, Clock

#: Signatures asked for in one round trip: enough to keep up, and no load to speak of.
_WINDOW = 1024
#: Seconds without any outcome before the oldest are looked for among the dead letters.
_DEAD_PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class Resolved:
    """A transaction that has come to its end, `seconds` after it was added.

    Without an outcome it was refused without a fee, for the reason in `refusal`, or is a dead letter.
    """

    tag: int
    signature: str
    outcome: Outcome | None
    seconds: float
    refusal: str | None = None


class OutcomeTracker:
    """Remembers only what is unresolved, oldest first. Raises LedgerUnavailable and its like; ask again."""

    def __init__(self, ledger: Ledger, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._ledger = ledger
        self._clock = clock
        self._open: OrderedDict[bytes, tuple[int, float]] = OrderedDict()
        self._progress = clock.monotonic()

    @property
    def outstanding(self) -> int:
        """How many have no outcome yet."""
        return len(self._open)

    @property
    def stalled(self) -> float:
        """Seconds since anything came to its end (or since the first was added)."""
        return self._clock.monotonic() - self._progress if self._open else 0.0

    def add(self, signature: str, tag: int) -> None:
        """Watch `signature` (base58); `tag` is the caller's name for it."""
        now = self._clock.monotonic()
        if not self._open:
            self._progress = now
        self._open.setdefault(bytes(Signature.from_string(signature)), (tag, now))

    def poll(self) -> list[Resolved]:
        """Those that have come to their end since; goes on as long as the oldest ones all have."""
        resolved: list[Resolved] = []
        while self._open:
            window = [key for key, _ in zip(self._open, range(_WINDOW), strict=False)]
            found = self._look(window)
            resolved += found
            if len(found) < len(window):
                break
        if resolved:
            self._progress = self._clock.monotonic()
        elif self.stalled > _DEAD_PATIENCE:
            resolved = self._look_among_refused() or self._look_among_dead()
        return resolved

    def _look(self, window: Sequence[bytes]) -> list[Resolved]:
        outcomes = zip(window, self._ledger.outcomes(window), strict=True)
        return [self._resolve(key, outcome) for key, outcome in outcomes if outcome is not None]

    def _look_among_refused(self) -> list[Resolved]:
        window = list(self._open)[:_WINDOW]
        refusals = zip(window, self._ledger.refusals(window), strict=True)
        return [replace(self._resolve(key, None), refusal=err) for key, err in refusals if err]

    def _look_among_dead(self) -> list[Resolved]:
        window = list(self._open)[:_WINDOW]
        dead = are_dead_letters(self._ledger, window)
        return [self._resolve(key, None) for key, is_dead in zip(window, dead, strict=True) if is_dead]

    def _resolve(self, key: bytes, outcome: Outcome | None) -> Resolved:
        tag, added = self._open.pop(key)
        return Resolved(tag, str(Signature.from_bytes(key)), outcome, self._clock.monotonic() - added)
