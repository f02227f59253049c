"""Replaying outcomes: the ledger as its blocks and journal say it must be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from banking.blocks import BlockHeader
from banking.journal import JournalEntry
from banking.records import lamports_of

#: Complaints kept of each kind; one planted fault must not fill the memory.
_MOST_COMPLAINTS = 20


@dataclass(slots=True)
class Replay:
    """The state after some outcomes. Amounts are lamports; `accounts` maps keys to (sequence number, record).

    What contradicts the invariants on the way is collected, not raised: `conservation` (I1), `repeated` (I2),
    `order` (I6).
    """

    accounts: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    supply: int = 0
    lamports: int = 0
    burned: int = 0
    processed: int = 0
    failed: int = 0
    seq: int = 0
    #: Signature that wrote each account last, as far as the outcomes reach back (b"": a genesis).
    writers: dict[bytes, bytes] = field(default_factory=dict)
    signatures: set[bytes] = field(default_factory=set)
    conservation: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)

    def apply(self, entries: Iterable[JournalEntry]) -> None:
        """Apply outcomes in the order of their sequence numbers."""
        for entry in entries:
            self._apply_one(entry)

    def check_header(self, header: BlockHeader) -> None:
        """Compare the totals so far with those that the header of the last block gives."""
        ours = (self.supply, self.seq, self.processed, self.failed, self.burned)
        theirs = (header.supply, header.last_seq, header.processed, header.failed, header.burned)
        if ours != theirs:
            self._complain(self.order, f"slot {header.slot}: replay gives {ours}, its header says {theirs}")

    def _apply_one(self, entry: JournalEntry) -> None:
        if entry.seq != self.seq + 1:
            self._complain(self.order, f"sequence number {entry.seq} follows {self.seq}")
        self.seq = entry.seq
        before = sum(lamports_of(self.accounts[key][1]) for key in entry.writes if key in self.accounts)
        after = sum(map(lamports_of, entry.writes.values()))
        for key, record in entry.writes.items():
            if record:
                self.accounts[key] = (entry.seq, record)
            else:
                self.accounts.pop(key, None)
            self.writers[key] = entry.signature
        self.lamports += after - before
        if entry.raw:
            self._count(entry, made=after - before)

    def _count(self, entry: JournalEntry, *, made: int) -> None:
        self.burned += entry.burned
        if entry.outcome.ok:
            self.processed += 1
        else:
            self.failed += 1
        if made != -entry.burned:
            text = f"seq {entry.seq}: accounts changed by {made} lamports, the burned fee is {entry.burned}"
            self._complain(self.conservation, text)
        if entry.included:
            if entry.signature in self.signatures:
                self._complain(self.repeated, f"seq {entry.seq} applies {entry.signature.hex()[:16]}… again")
            self.signatures.add(entry.signature)

    def _complain(self, kind: list[str], text: str) -> None:
        if len(kind) < _MOST_COMPLAINTS:
            kind.append(text)
