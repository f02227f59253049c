"""The receipt of each answer that intake gives."""

from __future__ import annotations

from banking.intake.intake import Acceptance
from banking.intake.reasons import Reason
from tasks.receipts import Receipt, Verdict

#: What a receipt says of each answer of intake but ACCEPTED.
_ANSWERS = {
    Acceptance.DUPLICATE_PENDING: (Verdict.DUPLICATE, Reason.PENDING, "accepted before, not yet processed"),
    Acceptance.DUPLICATE_RESOLVED: (Verdict.DUPLICATE, Reason.PROCESSED, "processed before"),
    Acceptance.DUPLICATE_DEAD: (
        Verdict.DUPLICATE,
        Reason.DEAD_LETTER,
        "in the dead letters; `trunkline deadletter replay` runs it again",
    ),
    Acceptance.FULL: (
        Verdict.REJECTED,
        Reason.INTAKE_FULL,
        "intake is full: too many unresolved transactions; submit again later",
    ),
    Acceptance.UNSEALED: (
        Verdict.REJECTED,
        Reason.ARCHIVE_BEHIND,
        "the archive cannot keep up: too many outcomes are not in it yet; submit again later",
    ),
    Acceptance.LETTERS_FULL: (
        Verdict.REJECTED,
        Reason.DEAD_LETTERS_FULL,
        "the dead letters are full; an operator must replay or drop some (`trunkline deadletter`)",
    ),
}


def receipt_of(signature: str, answer: Acceptance) -> Receipt:
    """The receipt of a transaction that intake was asked to accept."""
    if answer is Acceptance.ACCEPTED:
        return Receipt(Verdict.ACCEPTED, signature)
    verdict, code, text = _ANSWERS[answer]
    return Receipt(verdict, signature, text, code=code)
