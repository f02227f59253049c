"""What the headers imply: which blockhashes are valid in a slot, and what its sysvars say."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from oracle.errors import BadArchive
from oracle.format import Block, Header
from oracle.sysvars import SLOT_HASHES, Sysvars, derive

#: Slots that a blockhash stays valid.
BLOCKHASH_SLOTS = 150


class Chain:
    """The chain so far, as far back as any rule looks."""

    def __init__(self) -> None:
        self._recent: deque[Header] = deque(maxlen=SLOT_HASHES)
        #: Blockhash to the slot of its block.
        self._slots: dict[bytes, int] = {}

    @classmethod
    def begun(cls, head: Header, blockhashes: Mapping[int, bytes]) -> Chain:
        """A chain that is taken up at `head`, with the hashes of the blocks before it by their slots."""
        chain = cls()
        for slot in range(max(0, head.slot + 1 - SLOT_HASHES), head.slot + 1):
            parent = blockhashes.get(slot - 1, bytes(32) if slot == 0 else None)
            own = head.hash if slot == head.slot else blockhashes.get(slot)
            if parent is not None and own is not None:
                chain._append(replace(head, slot=slot, parent=parent, hash=own))
        if chain.head is None or chain.head != head:
            raise BadArchive(f"the blockhashes do not lead to the block of slot {head.slot}")
        return chain

    @property
    def head(self) -> Header | None:
        """The newest block's header."""
        return self._recent[-1] if self._recent else None

    def extend(self, block: Block) -> None:
        """Put the next block on the chain. Raises BadArchive when it is not the child of the one before it."""
        header, before = block.header, self.head
        where = f"the block of slot {header.slot}"
        if before is None:
            if header.slot == 0 and header.parent != bytes(32):
                raise BadArchive(f"{where} is the first, but names a parent")
        elif header.parent != before.hash or header.slot != before.slot + 1:
            raise BadArchive(f"{where} is not the child of the one before it")
        elif header.first_seq != before.last_seq + 1:
            raise BadArchive(f"{where} begins with {header.first_seq}, the one before it ends with {before.last_seq}")
        elif (header.ledger_id, header.supply) != (before.ledger_id, before.supply) or header.epoch < before.epoch:
            raise BadArchive(f"{where} is of another ledger, or of an earlier epoch")
        numbers = [entry.seq for entry in block.entries]
        if numbers != list(range(header.first_seq, header.last_seq + 1)):
            raise BadArchive(f"{where} does not hold the entries {header.first_seq} to {header.last_seq}")
        if any(entry.slot != header.slot for entry in block.entries):
            raise BadArchive(f"{where} holds an entry of another slot")
        self._append(header)

    def _append(self, header: Header) -> None:
        if len(self._recent) == SLOT_HASHES:
            self._slots.pop(self._recent[0].hash, None)
        self._recent.append(header)
        self._slots[header.hash] = header.slot

    def is_recent(self, blockhash: bytes, slot: int) -> bool:
        """Whether a transaction of `slot` may name `blockhash`: it is recent from the slot behind its block on."""
        made = self._slots.get(blockhash)
        return made is not None and 0 <= slot - (made + 1) <= BLOCKHASH_SLOTS

    def sysvars(self) -> Sysvars:
        """The sysvars of the slot behind the head. Raises BadArchive when there is no block yet."""
        if self.head is None:
            raise BadArchive("no block comes before the first transaction")
        return derive(list(self._recent))
