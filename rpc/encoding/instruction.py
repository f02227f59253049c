"""An instruction on its way to JSON, and reading its data."""

from __future__ import annotations

from dataclasses import dataclass

from solders.pubkey import Pubkey


class Unparsable(Exception):
    """The instruction is not one that is known; it is shown as it is."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """The program and the accounts in base58."""

    program: str
    accounts: list[str]
    data: bytes

    def account(self, place: int) -> str:
        if place >= len(self.accounts):
            raise Unparsable
        return self.accounts[place]


class DataReader:
    """Reads little-endian values off an instruction's data. Raises Unparsable at its end."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self._at = at

    def take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        if len(part) != size:
            raise Unparsable
        self._at += size
        return part

    def u8(self) -> int:
        return self.take(1)[0]

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def varint(self, bits: int) -> int:
        """An integer of at most `bits` bits, in groups of seven, the least first: a compact u16, or a varint."""
        value = shift = 0
        while shift < bits:
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise Unparsable

    def key(self) -> str:
        return str(Pubkey(self.take(32)))

    def option_key(self) -> str | None:
        """A key behind a one-byte tag."""
        return self.key() if self.u8() else None

    def text(self) -> str:
        """A string behind its length as u64."""
        size = self.u64()
        try:
            return self.take(size).decode()
        except UnicodeDecodeError:
            raise Unparsable from None
