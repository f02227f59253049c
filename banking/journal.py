"""The journal: every outcome in the order of its sequence number, with all that it wrote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from banking.ledger import Ledger
from banking.records import Outcome, unpack_outcome

_PAGE = 500


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One outcome. `raw` is the transaction (b"" for a genesis), `value` its status as stored, `detail` packed.

    `writes` maps account keys to their new records, b"" where the account is gone; `burned` is in lamports.
    """

    slot: int
    seq: int
    raw: bytes
    value: bytes
    burned: int
    detail: bytes
    writes: dict[bytes, bytes]

    @property
    def signature(self) -> bytes:
        """The first signature; b"" for a genesis."""
        # One byte counts the signatures: a packet has no room for 128 of them.
        return self.raw[1:65]

    @property
    def outcome(self) -> Outcome:
        return unpack_outcome(self.value)

    @property
    def included(self) -> bool:
        """Whether it was paid for, and so is a transaction of its block in Solana's sense."""
        return self.burned > 0


def read_journal(
    ledger: Ledger, *, after_seq: int = 0, slot: int | None = None, page: int = _PAGE
) -> Iterator[JournalEntry]:
    """Entries with a higher sequence number than `after_seq`; those of one `slot` only, when it is given.

    `page` entries are fetched at a time.
    """
    key = ledger.epoch_keys.journal
    first = "-" if slot is None else f"{slot}-0"
    last = "+" if slot is None else f"{slot}"
    while True:
        found: list[Any] = ledger.call(lambda start=first: ledger.client.xrange(key, start, last, count=page))
        for name, fields in found:
            entry = _entry(name, fields)
            if entry.seq > after_seq:
                yield entry
        if len(found) < page:
            return
        first = "(" + found[-1][0].decode()


def _entry(name: bytes, fields: dict[bytes, bytes]) -> JournalEntry:
    slot, _, seq = name.partition(b"-")
    writes = {key: record for key, record in fields.items() if len(key) > 1}
    return JournalEntry(
        slot=int(slot),
        seq=int(seq),
        raw=fields[b"t"],
        value=fields[b"r"],
        burned=int(fields[b"f"]),
        detail=fields[b"d"],
        writes=writes,
    )
