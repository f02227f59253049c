"""The dead letters of a ledger, where its scripts look for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from banking.ledger.ledger import Ledger
from recovery.dead_letters import DeadLetters, LetterLimits


def open_dead_letters(ledger: Ledger, limits: LetterLimits) -> DeadLetters:
    """The dead letters under the ledger's keys. Their methods raise what redis-py raises."""
    return DeadLetters(ledger.client, ledger.prefix, limits=limits)


def are_dead_letters(ledger: Ledger, signatures: Sequence[bytes]) -> list[bool]:
    """Which transactions are dead letters, in the order asked. Raises LedgerUnavailable."""
    names: list[Any] = list(signatures)
    letters = ledger.call(lambda: ledger.client.hmget(ledger.keys.dead, names))
    return [letter is not None for letter in letters]
