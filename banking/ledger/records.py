"""How accounts and outcomes look as bytes. Redis and Lua never look inside."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import msgspec
from solders.account import Account
from solders.pubkey import Pubkey

# lamports u64, rent epoch u64, executable u8, owner; all little-endian as in Solana. The data follows.
_HEADER = struct.Struct("<QQB32s")
HEADER_SIZE = _HEADER.size
EXECUTABLE_AT = 16
OWNER_AT = 17


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account read from its record; `lamports` is exact, `data` is raw bytes."""

    lamports: int
    rent_epoch: int
    executable: bool
    owner: bytes
    data: bytes


def pack_account(account: Account) -> bytes:
    """The record of an account."""
    header = _HEADER.pack(account.lamports, account.rent_epoch, account.executable, bytes(account.owner))
    return header + account.data


def unpack_account(record: bytes) -> AccountView:
    """Read a record. Raises struct.error when it is shorter than its header."""
    lamports, rent_epoch, executable, owner = _HEADER.unpack_from(record)
    return AccountView(lamports, rent_epoch, bool(executable), owner, record[HEADER_SIZE:])


def to_account(record: bytes) -> Account:
    """The solders account of a record."""
    lamports, rent_epoch, executable, owner = _HEADER.unpack_from(record)
    return Account(lamports, record[HEADER_SIZE:], Pubkey(owner), bool(executable), rent_epoch)


def lamports_of(record: bytes) -> int:
    """Lamports of a record; 0 for the empty record of an absent account."""
    return int.from_bytes(record[:8], "little")


class Result(msgspec.Struct, array_like=True, frozen=True):
    """What a transaction came to.

    `err` is None or Solana's TransactionError as JSON text; `fee` is what was burned, in lamports; `units` are
    compute units; `logs` are the program logs.
    """

    err: str | None
    fee: int
    units: int
    logs: list[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The recorded outcome of a transaction: where it stands in the ledger, and its result."""

    slot: int
    seq: int
    err: str | None
    fee: int
    units: int
    logs: list[str]

    @property
    def ok(self) -> bool:
        return self.err is None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Result)


def pack_result(result: Result) -> bytes:
    """The bytes that the commit script stores behind `slot:seq:`."""
    return _encoder.encode(result)


def unpack_result(packed: bytes) -> Result:
    """The result in what `pack_result` made. Raises msgspec.DecodeError when it is damaged."""
    return _decoder.decode(packed)


def pack_refusal(err: str) -> bytes:
    """The bytes that the commit script stores behind `slot:` for a transaction that was refused without a fee."""
    return err.encode()


def unpack_refusal(value: bytes) -> str:
    """The error in a refusal, Solana's TransactionError as JSON text."""
    return value.split(b":", 1)[1].decode()


def unpack_outcome(value: bytes) -> Outcome:
    """Read a status value. Raises ValueError or msgspec.DecodeError when it is damaged."""
    slot, seq, packed = value.split(b":", 2)
    result = _decoder.decode(packed)
    return Outcome(int(slot), int(seq), result.err, result.fee, result.units, result.logs)
