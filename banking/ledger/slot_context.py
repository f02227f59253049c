"""What a slot's sysvars follow from: the slot, and the headers of the blocks before it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: Entries of the SlotHashes sysvar; also the slots that a deactivated lookup table lives on.
SLOT_HASHES = 512
#: The parent in the header of the genesis block.
NO_PARENT = bytes(32)


@dataclass(frozen=True, slots=True)
class SlotContext:
    """All that an execution may know of its slot: the same in every process, whenever it asks.

    `parents` are (slot, parent hash in the header of its block) of the 512 slots before, newest first; `time_ms` is
    the time in the header of the slot before.
    """

    slot: int
    time_ms: int
    parents: tuple[tuple[int, bytes], ...]

    @property
    def unix_seconds(self) -> int:
        return self.time_ms // 1000

    @property
    def token(self) -> bytes:
        """What distinguishes this slot from any other of the epoch, for the scripts."""
        return f"{self.slot}:{self.time_ms}".encode()

    @property
    def blockhash(self) -> bytes:
        """The environment blockhash, from which the next durable nonce derives."""
        return self.parents[0][1] if self.parents else NO_PARENT


def slot_context(slot: int, time_ms: int, blockhashes: Iterable[tuple[bytes, int]]) -> SlotContext:
    """The context of `slot`; `blockhashes` are (hash of a block, the slot behind it), of which too many may be given.

    The hash of block `k-1` is the parent in the header of block `k`. That of the slot before `slot` may be known
    already or not, and is left out.
    """
    parents = sorted(
        ((since, value) for value, since in blockhashes if slot - SLOT_HASHES <= since < slot), reverse=True
    )
    if 0 < slot <= SLOT_HASHES:
        parents.append((0, NO_PARENT))
    return SlotContext(slot, time_ms, tuple(parents))
