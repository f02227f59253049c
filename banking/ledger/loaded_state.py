"""What a load answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from banking.ledger.slot_context import SlotContext


@dataclass(frozen=True, slots=True)
class LoadedState:
    """One moment of the ledger, as far as a batch needs it.

    `resolved` answers, in the order asked, which signatures have their end (an outcome or a dead letter), `recent`
    which blockhashes are valid; `versions` and `records` are by account key, "absent" being b"".
    `refused` says which were refused and not accepted again since: they count as resolved. `context` is the open slot.
    `left_out` are accounts that were not looked at, because the records before them are large. `turn` is the number of
    the turn that came along, b"" without one (`banking.ledger.turns`).
    """

    context: SlotContext
    resolved: list[bool]
    refused: list[bool]
    recent: dict[bytes, bool]
    versions: dict[bytes, bytes]
    records: dict[bytes, bytes]
    accepted: list[bytes]
    left_out: frozenset[bytes] = frozenset()
    turn: bytes = b""

    def has(self, keys: Iterable[bytes]) -> bool:
        """Whether all of them were looked at."""
        return not self.left_out or self.left_out.isdisjoint(keys)

    def is_recent(self, blockhash: bytes) -> bool:
        """Whether a transaction may name `blockhash`."""
        return self.recent[blockhash]
