"""Replaying outcomes: the ledger as its blocks and journal say it must be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from solders.transaction import VersionedTransaction

from banking.blocks.block import BlockHeader
from banking.execution.transaction_meta import unpack_transaction_meta
from banking.ledger.journal import JournalEntry
from banking.ledger.records import lamports_of

#: Complaints kept of each kind; one planted fault must not fill the memory.
_MAX_COMPLAINTS = 20


@dataclass(slots=True)
class Replay:
    """The state after some slots. Amounts are lamports; `accounts` maps keys to (sequence number, record).

    Within a slot only balances are known, from the outcomes themselves; the records come with its images. What
    contradicts the invariants on the way is collected, not raised: `conservation` (I1), `repeated` (I2), `order` (I6).
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
    #: Of the slot at hand: who wrote an account last, and the balances after the outcomes so far.
    _written: dict[bytes, int] = field(default_factory=dict)
    _balances: dict[bytes, int] = field(default_factory=dict)

    def apply(self, entries: Iterable[JournalEntry], images: Mapping[bytes, bytes]) -> None:
        """Apply the outcomes of one slot, in the order of their sequence numbers, and what they left."""
        for entry in entries:
            self.apply_one(entry)
        self.end_slot(images)

    def apply_one(self, entry: JournalEntry) -> None:
        """Apply one outcome, but for the records."""
        if entry.seq != self.seq + 1:
            self._complain(self.order, f"sequence number {entry.seq} follows {self.seq}")
        self.seq = entry.seq
        for key in entry.keys:
            self._written[key] = entry.seq
            self.writers[key] = entry.signature
        if entry.raw:
            self._count(entry)
            self._move(entry)

    def end_slot(self, images: Mapping[bytes, bytes]) -> None:
        """What the accounts that the slot wrote hold at its end."""
        for key, seq in self._written.items():
            record = images.get(key, b"")
            lamports, told = lamports_of(record), self._balances.get(key)
            if told is not None and lamports != told:
                text = f"seq {seq}: account {key.hex()[:16]}… holds {lamports} lamports, its outcome says {told}"
                self._complain(self.conservation, text)
            self.lamports += lamports - lamports_of(self.accounts.get(key, (0, b""))[1])
            if record:
                self.accounts[key] = (seq, record)
            else:
                self.accounts.pop(key, None)
        self._written.clear()
        self._balances.clear()

    def check_header(self, header: BlockHeader) -> None:
        """Compare the totals so far with those that the header of the last block gives."""
        ours = (self.supply, self.seq, self.processed, self.failed, self.burned)
        theirs = (header.supply, header.last_seq, header.processed, header.failed, header.burned)
        if ours != theirs:
            self._complain(self.order, f"slot {header.slot}: replay gives {ours}, its header says {theirs}")

    def _count(self, entry: JournalEntry) -> None:
        self.burned += entry.burned
        if entry.outcome.ok:
            self.processed += 1
        else:
            self.failed += 1
        if entry.included:
            if entry.signature in self.signatures:
                self._complain(self.repeated, f"seq {entry.seq} applies {entry.signature.hex()[:16]}… again")
            self.signatures.add(entry.signature)

    def _move(self, entry: JournalEntry) -> None:
        """Follow the balances: each outcome tells those before and after it."""
        made, written = 0, set(entry.keys)
        for key, before, after in _balances(entry):
            made += after - before
            if key not in written:
                continue
            written.discard(key)
            if before != self._balance(key):
                text = f"seq {entry.seq}: account {key.hex()[:16]}… had {self._balance(key)} lamports, not {before}"
                self._complain(self.conservation, text)
            self._balances[key] = after
        if made != -entry.burned:
            text = f"seq {entry.seq}: accounts changed by {made} lamports, the burned fee is {entry.burned}"
            self._complain(self.conservation, text)
        if written:
            self._complain(self.conservation, f"seq {entry.seq} wrote accounts that its transaction does not name")

    def _balance(self, key: bytes) -> int:
        known = self._balances.get(key)
        return known if known is not None else lamports_of(self.accounts.get(key, (0, b""))[1])

    def _complain(self, kind: list[str], text: str) -> None:
        if len(kind) < _MAX_COMPLAINTS:
            kind.append(text)


def _balances(entry: JournalEntry) -> Iterable[tuple[bytes, int, int]]:
    """Key, lamports before and lamports after, of every account of an outcome."""
    detail = unpack_transaction_meta(entry.detail)
    if detail is None:
        return ()
    keys = map(bytes, VersionedTransaction.from_bytes(entry.raw).message.account_keys)
    return zip((*keys, *detail.loaded_writable, *detail.loaded_readonly), detail.pre, detail.post, strict=False)
