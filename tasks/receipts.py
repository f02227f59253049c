"""What `submit()` answers for each transaction."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from banking.intake.reasons import Reason
from banking.ledger.records import Outcome


class Verdict(StrEnum):
    """What became of a transaction at intake."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


class Level(StrEnum):
    """How much is promised of a transaction; each level includes those before it."""

    #: Its intake record is written: it reaches exactly one end (an outcome, a refusal that costs nothing, or after
    #: several tries the dead letters), unless Redis loses its data.
    ACCEPTED = "accepted"
    #: Its outcome is committed in the ledger.
    PROCESSED = "processed"
    #: Its block is in the archive: losing all of Redis does not touch it.
    FINALIZED = "finalized"


@dataclass(frozen=True, slots=True)
class Receipt:
    """Answer for one submitted transaction.

    `signature` is base58, None when the bytes held none. `code` says why it was rejected, or which kind of duplicate
    it is, and `reason` says it to people. `outcome` is there when `submit(wait=...)` saw one, `finalized` says
    whether its block was in the archive then.
    """

    verdict: Verdict
    signature: str | None
    reason: str = ""
    outcome: Outcome | None = None
    finalized: bool = False
    code: Reason | None = None

    @property
    def refused(self) -> bool:
        """Whether `submit(wait=...)` saw it refused without a fee; `reason` is the error. It may be submitted again."""
        return self.code is Reason.REFUSED

    @property
    def accepted(self) -> bool:
        """True for ACCEPTED: from here on it reaches exactly one end."""
        return self.verdict is Verdict.ACCEPTED

    @property
    def slot(self) -> int | None:
        """The slot of its outcome, None as long as none was seen."""
        return self.outcome.slot if self.outcome else None

    @property
    def level(self) -> Level | None:
        """The level that was seen; None when nothing is promised: rejected, refused, or a dead letter."""
        if self.finalized:
            return Level.FINALIZED
        if self.outcome:
            return Level.PROCESSED
        return Level.ACCEPTED if self.accepted and not self.refused else None
