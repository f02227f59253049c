"""Account records: lamports u64, rent epoch u64, executable u8, owner (32 bytes), all little-endian, then the data."""

from __future__ import annotations

import struct

from solders.account import Account
from solders.pubkey import Pubkey

_HEAD = struct.Struct("<QQB32s")
HEAD_BYTES = _HEAD.size
#: What exempts an account without data from rent.
EXEMPT_LAMPORTS = 890_880


def to_record(account: Account | None) -> bytes:
    """The record of an account; b"" for one that is not there or holds no lamports."""
    if account is None or account.lamports == 0:
        return b""
    head = _HEAD.pack(account.lamports, account.rent_epoch, account.executable, bytes(account.owner))
    return head + account.data


def to_account(record: bytes) -> Account:
    """The account of a record; b"" gives one without lamports, which removes it from the VM."""
    if not record:
        return Account(0, b"", Pubkey.default(), executable=False)
    lamports, rent_epoch, executable, owner = _HEAD.unpack_from(record)
    return Account(lamports, record[HEAD_BYTES:], Pubkey(owner), bool(executable), rent_epoch)


def lamports(record: bytes) -> int:
    """Lamports of a record, 0 for b""."""
    return int.from_bytes(record[:8], "little")


def with_lamports(record: bytes, amount: int) -> bytes:
    """The record with another balance; b"" where nothing is left."""
    return amount.to_bytes(8, "little") + record[8:] if amount else b""


def owner(record: bytes) -> bytes:
    """The program that owns the account, b"" for b""."""
    return record[17:HEAD_BYTES]


def is_executable(record: bytes) -> bool:
    """Whether the account is a program."""
    return bool(record) and record[16] == 1


def data(record: bytes) -> bytes:
    """The account's data."""
    return record[HEAD_BYTES:]


def can_pay(record: bytes, fee: int) -> bool:
    """Whether a system account without data may pay `fee` lamports: it must end empty, or as exempt as it was."""
    left = lamports(record) - fee
    if len(record) != HEAD_BYTES or owner(record) != bytes(32) or left < 0:
        return False
    return left == 0 or left >= EXEMPT_LAMPORTS or lamports(record) < EXEMPT_LAMPORTS
