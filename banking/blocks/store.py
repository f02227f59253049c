"""Blocks in the archive, by slot."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from banking.blocks.block import GENESIS_PARENT, Block, BlockHeader, decode_block, decode_header, encode_block
from banking.errors import BadBlock, Diverged
from recovery.archive import MAX_OBJECT_BYTES, AlreadyExists, Archive, NotFound, TooLarge, UnsafeArchive, get_each
from recovery.archive.names import folder_segment
from recovery.identity import Identity

#: Blocks in one folder, so that no folder grows without bound.
_FOLDER_SLOTS = 10_000


def ledger_folder(ledger: str) -> str:
    """The archive folder of a ledger, by its name."""
    return f"ledgers/{folder_segment(ledger)}"


@dataclass(frozen=True)
class BlockStore:
    """The blocks of ledger `ledger`; only blocks signed by `identity` or one of `trusted_keys` are believed."""

    archive: Archive
    ledger: str
    identity: Identity
    trusted_keys: Collection[bytes] = ()

    @property
    def folder(self) -> str:
        return f"{ledger_folder(self.ledger)}/blocks"

    def name(self, slot: int) -> str:
        """The object name of the block of `slot`."""
        return f"{self.folder}/{slot // _FOLDER_SLOTS:09d}/{slot:012d}.block"

    def put(self, header: BlockHeader, body: bytes) -> bool:
        """Create the block; False when the very same block is there, and durable, already.

        Raises Diverged when another block has its slot, ArchiveWriteError, BadBlock.
        """
        name = self.name(header.slot)
        try:
            self.archive.put(name, encode_block(header, body, self.identity))
        except AlreadyExists:
            existing = self.header(header.slot)
            if existing.hash() != header.hash():
                raise Diverged(
                    f"slot {header.slot} holds another block: epoch {existing.epoch}, seq {existing.first_seq} to "
                    f"{existing.last_seq}, where ours has epoch {header.epoch}, {header.first_seq} to "
                    f"{header.last_seq}"
                ) from None
            self.archive.confirm(name)
            return False
        return True

    def read(self, slot: int) -> Block:
        """The verified block. Raises NotFound, BadBlock, ArchiveReadError."""
        with _naming(slot):
            block = decode_block(self._data(slot), self._keys())
        _check_slot(block.header, slot)
        return block

    def header(self, slot: int) -> BlockHeader:
        """The verified header. Raises NotFound, BadBlock, ArchiveReadError."""
        return self._header(slot, self._data(slot))

    def headers(self, slots: Sequence[int]) -> Iterator[BlockHeader]:
        """The verified headers of `slots`, in this order. Raises what `header` raises, where it is the slot's turn."""
        data = self._each(slots)
        for slot in slots:
            with _naming(slot):
                found = next(data)
            yield self._header(slot, found)

    def exists(self, slot: int) -> bool:
        """Whether the slot has a block. Raises ArchiveReadError."""
        return self.archive.exists(self.name(slot))

    def slots(self, *, after: int = -1) -> Iterator[int]:
        """Slots above `after` that have a block, ascending; their content is not looked at."""
        start = self.name(after) if after >= 0 else None
        for name in self.archive.list(self.folder, start_after=start):
            yield int(name.rpartition("/")[2].removesuffix(".block"))

    def newest(self) -> int | None:
        """The highest slot that has a block; reads only the last folder."""
        for folder in reversed(self.archive.folders(self.folder)):
            slots = [int(name.rpartition("/")[2].removesuffix(".block")) for name in self._names(folder)]
            if slots:
                return slots[-1]
        return None

    def follow(self, slot: int, parent: bytes | None, *, until: int | None = None) -> Iterator[Block]:
        """Blocks from `slot` on, each the child of the one before (`parent` first; None: any).

        Stops behind the newest or `until`. Raises BadBlock at the first that is damaged or does not fit, and for
        a hole in the chain: what lies behind it is never served.
        """
        last = until if until is not None else self.newest()
        numbers = range(slot, (last if last is not None else slot - 1) + 1)
        data = self._each(numbers)
        for number in numbers:
            try:
                with _naming(number):
                    block = decode_block(next(data), self._keys())
            except NotFound:
                raise BadBlock(f"the block of slot {number} is missing, those up to {last} are there") from None
            _check_slot(block.header, number)
            if parent is not None and block.header.parent != parent:
                raise BadBlock(f"the block of slot {number} is not the child of the one before it")
            if number == 0 and block.header.parent != GENESIS_PARENT:
                raise BadBlock("the genesis block names a parent")
            parent = block.hash
            yield block

    def delete(self, slot: int) -> None:
        """Remove a block that no checkpoint needs any more."""
        self.archive.delete(self.name(slot))

    def _names(self, folder: str) -> list[str]:
        return list(self.archive.list(f"{self.folder}/{folder}"))

    def _keys(self) -> Collection[bytes]:
        return {self.identity.public_key, *self.trusted_keys}

    def _data(self, slot: int) -> bytes:
        with _naming(slot):
            return self.archive.get(self.name(slot), MAX_OBJECT_BYTES)

    def _each(self, slots: Sequence[int]) -> Iterator[bytes]:
        return get_each(self.archive, map(self.name, slots), MAX_OBJECT_BYTES)

    def _header(self, slot: int, data: bytes) -> BlockHeader:
        with _naming(slot):
            header, _ = decode_header(data, self._keys())
        _check_slot(header, slot)
        return header


@contextmanager
def _naming(slot: int) -> Iterator[None]:
    try:
        yield
    except (BadBlock, TooLarge, UnsafeArchive) as error:
        raise BadBlock(f"the block of slot {slot}: {error}") from error


def _check_slot(header: BlockHeader, slot: int) -> None:
    if header.slot != slot:
        raise BadBlock(f"the block of slot {slot} says that it is of slot {header.slot}")
