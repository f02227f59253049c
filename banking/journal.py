"""The journal: every outcome in the order of its sequence number, with all that it wrote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from banking.errors import JournalGap
from banking.ledger import Ledger
from banking.records import Outcome, unpack_outcome

_PAGE = 500
_NAMES = [b"t", b"r", b"f", b"d"]
_FIXED = 2 * len(_NAMES)


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
        found: list[tuple[bytes, list[bytes]]] = ledger.run("journal", [key], [first, last, page])
        for name, fields in found:
            entry = _entry(name, fields)
            if entry.seq > after_seq:
                yield entry
        if len(found) < page:
            return
        first = "(" + found[-1][0].decode()


def _entry(name: bytes, fields: list[bytes]) -> JournalEntry:
    slot, _, seq = name.partition(b"-")
    # As `commit.lua` writes them: four named fields, then the accounts.
    if fields[:_FIXED:2] != _NAMES:
        raise JournalGap(f"journal entry {name.decode()} has fields {fields[:_FIXED:2]!r}")
    return JournalEntry(
        slot=int(slot),
        seq=int(seq),
        raw=fields[1],
        value=fields[3],
        burned=int(fields[5]),
        detail=fields[7],
        writes=dict(zip(fields[_FIXED::2], fields[_FIXED + 1 :: 2], strict=True)),
    )
