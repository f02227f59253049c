"""Versions of accounts: each names one state of one account, whatever Redis may lose.

A version is `number:writer`. `number` is the sequence number of the last write. `writer` is the first 16 bytes of the
writing signature and 8 random bytes of the commit that brought it; after a restore it is `e` and the epoch. The
number alone is not unique: with an unsealed tail Redis loses the numbers of it, and hands them out again. Nor would
the signature be: a transaction that is sent again may get its old number on accounts that hold something else by now.
"""

from __future__ import annotations

import secrets

SIGNATURE_BYTES = 16
MARK_BYTES = 8


def new_mark() -> bytes:
    """What tells one commit from every other, also from one of the same transactions in a history that was lost."""
    return secrets.token_bytes(MARK_BYTES)


def sequence(version: bytes) -> int:
    """The sequence number of the last write. Raises ValueError for what is no version."""
    return int(version.partition(b":")[0])


def restored(seq: int, epoch: int) -> bytes:
    """The version of an account that was loaded from the archive for `epoch`; no commit of the epoch has its number."""
    return b"%d:e%d" % (seq, epoch)


def is_written_by(version: bytes, signature: bytes) -> bool:
    """Whether the transaction with `signature` made this version; restored ones name no signature."""
    writer = version.partition(b":")[2]
    return len(writer) == SIGNATURE_BYTES + MARK_BYTES and writer.startswith(signature[:SIGNATURE_BYTES])


def is_restored(version: bytes, epoch: int) -> bool:
    """Whether the account was loaded for `epoch` and not written since."""
    return version.partition(b":")[2] == b"e%d" % epoch
