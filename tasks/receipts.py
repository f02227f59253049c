"""What `submit()` answers for each transaction."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from banking.records import Outcome


class Verdict(StrEnum):
    """What became of a transaction at intake."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Receipt:
    """Answer for one submitted transaction.

    `signature` is base58, None when the bytes held none. `reason` says why it was rejected, or which kind of
    duplicate it is. `outcome` is there when `submit(wait=...)` saw one.
    """

    verdict: Verdict
    signature: str | None
    reason: str = ""
    outcome: Outcome | None = None

    @property
    def accepted(self) -> bool:
        """True for ACCEPTED: from here on it reaches exactly one outcome."""
        return self.verdict is Verdict.ACCEPTED
