"""The audit's view of what is not in a block yet: the open slot, and the closed one that waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from banking.blocks.block import Block, most_body_bytes
from banking.ledger.journal import JournalEntry, image_record, read_journal, written_by
from banking.ledger.ledger import Ledger, State
from banking.ledger.limits import entry_bytes, image_bytes
from banking.ledger.maintenance import read_moment


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot's outcomes and what they left; `block` is None when it has none yet."""

    entries: Sequence[JournalEntry]
    images: Mapping[bytes, bytes]
    block: Block | None = None


@dataclass(frozen=True, slots=True)
class Tail:
    """All of one moment: the counters, `pending` (the sizes of intake and dead letters), images of the newest slots."""

    state: State
    pending: dict[str, int]
    entries: Sequence[JournalEntry]
    #: By slot modulo 2: account key to image.
    _images: Sequence[Mapping[bytes, bytes]]

    @classmethod
    def read(cls, ledger: Ledger) -> Tail:
        """Raises LedgerMissing, LedgerUnavailable."""
        while True:
            state = ledger.state()
            now, waiting, dead, images = read_moment(ledger, state.epoch)
            if now[:6] == [state.seq, state.accepted, state.refused, state.dropped, state.slot, state.finalized]:
                break
        # Letters of what never was a transaction have other ids than signatures.
        pending = {"intake": waiting, "dead": sum(len(name) == 64 for name in dead)}
        entries = []
        for entry in read_journal(ledger, after_seq=state.finalized_seq):
            if entry.seq > state.seq:
                break
            entries.append(entry)
        return cls(replace(state, slot_bytes=now[6]), pending, entries, images)

    def slots(self) -> Iterator[Slot]:
        """The slots that have no block yet and have outcomes."""
        for number, entries in groupby(self.entries, key=lambda entry: entry.slot):
            slot_entries = list(entries)
            stored = self._images[number % 2]
            keys = (key for key in written_by(slot_entries) if key in stored)
            yield Slot(slot_entries, {key: image_record(stored[key]) for key in keys})

    def check(self, complain: Callable[[str, str], None]) -> None:
        """Whether the slots' bytes are counted right, and each has its images and will fit a block."""
        state = self.state
        self._check_slot(state.slot, state.slot_bytes, complain)
        if state.closing:
            self._check_slot(state.slot - 1, state.closing_bytes, complain)
            if state.closing_bytes > most_body_bytes():
                text = f"closed slot {state.slot - 1} has {state.closing_bytes} bytes, more than a block may hold"
                complain("I4", text)

    def _check_slot(self, number: int, counted: int, complain: Callable[[str, str], None]) -> None:
        entries = [entry for entry in self.entries if entry.slot == number]
        stored = self._images[number % 2]
        parts = ((len(one.raw), len(one.value), len(one.detail), len(one.written)) for one in entries)
        bytes_there = sum(entry_bytes(*sizes) for sizes in parts) + sum(
            image_bytes(max(len(image_record(image)), 1)) for image in stored.values()
        )
        if counted != bytes_there:
            complain("I4", f"slot {number} has {bytes_there} bytes, {counted} are counted")
        if set(stored) != set(written_by(entries)):
            complain("I4", f"slot {number} lacks the image of an account that it wrote, or has one that it did not")
