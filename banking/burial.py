"""Dead letters of the ledger: transactions given up, and messages that never were one."""

from __future__ import annotations

from banking.ledger import Ledger
from config.clock import SYSTEM_CLOCK, Clock
from recovery.dead_letters import DeadLetter, DeadLetters, pack_letter

TRANSACTION = "transaction"
MALFORMED = "malformed"


class Burial:
    """Writes the dead letters of one ledger. Raises LedgerUnavailable, LedgerMissing, StaleEpoch."""

    def __init__(self, ledger: Ledger, *, clock: Clock = SYSTEM_CLOCK, limit: int = 100_000) -> None:
        self._ledger = ledger
        self._clock = clock
        self.letters = DeadLetters(ledger.client, ledger.keys.prefix, limit=limit)

    def bury(self, signature: bytes, raw: bytes, reason: str, attempts: int) -> bool:
        """Move a transaction from intake to the dead letters; False when it has its outcome or is there already."""
        keys, epoch_keys = self._ledger.keys, self._ledger.epoch_keys
        letter = self._letter(signature, TRANSACTION, raw, reason, attempts)
        buried = self._ledger.run(
            "bury",
            [
                keys.meta,
                epoch_keys.state,
                epoch_keys.status,
                keys.intake,
                keys.queued,
                keys.parked,
                keys.attempts,
                keys.dead,
            ],
            [self._ledger.epoch, signature, pack_letter(letter)],
        )
        return bool(buried)

    def bury_foreign(self, name: bytes, payload: bytes, reason: str) -> bool:
        """Keep what is no transaction. Raises DeadLettersFullError beyond the limit."""
        letter = self._letter(name, MALFORMED, payload, reason, 1)
        return bool(self._ledger.call(lambda: self.letters.add(letter)))

    def _letter(self, id: bytes, kind: str, payload: bytes, reason: str, attempts: int) -> DeadLetter:
        now = self._clock.time()
        return DeadLetter(
            id=id, kind=kind, payload=payload, reason=reason, attempts=attempts, first_at=now, last_at=now
        )
