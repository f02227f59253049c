"""How accounts stand in Redis: what is lamports and nothing else is short, and is its own version.

Most accounts are *plain*: they belong to the system program, have no data, are not executable, and their rent epoch is
0. Redis keeps such a one as its lamports (8 bytes, little-endian as in the record) and behind them, in decimal, the
sequence number of its last write. Any other account is kept as its whole record, and has a version beside it
(`banking.ledger.versions`). The two are told apart by their length.

A plain account needs no version: what is stored is all that there is to read of it, so an execution that read it is
good for as long as the very same is stored, whoever wrote it meanwhile.
"""

from __future__ import annotations

from banking.ledger.records import HEADER_SIZE

_LAMPORTS = 8
_REST = bytes(HEADER_SIZE - _LAMPORTS)
#: Where the scripts tell a version, this stands before what is stored of a plain account; no version begins with it.
_ITSELF = b"="


def shortened(record: bytes) -> bytes:
    """A record as the scripts take it, who add the sequence number: lamports alone, if the account is plain."""
    return record[:_LAMPORTS] if record[_LAMPORTS:] == _REST else record


def stored(record: bytes, seq: int) -> bytes:
    """What Redis keeps of an account that `seq` wrote last."""
    short = shortened(record)
    return b"%s%d" % (short, seq) if len(short) == _LAMPORTS else record


def is_plain(value: bytes) -> bool:
    """Whether `value`, as stored, is a plain account, which has no version beside it."""
    return 0 < len(value) < HEADER_SIZE


def record_of(value: bytes) -> bytes:
    """The record in what is stored of an account, or shortened; b"" stays."""
    return value[:_LAMPORTS] + _REST if is_plain(value) else value


def version_of(value: bytes, beside: bytes | None) -> bytes | None:
    """The version of an account: of a plain one the sequence number, of others what stands `beside`."""
    return value[_LAMPORTS:] if is_plain(value) else beside


def unfold(versions: list[bytes], records: list[bytes]) -> None:
    """Put the records of plain accounts, which a load tells as their versions, into `records`."""
    for place, version in enumerate(versions):
        if version[:1] == _ITSELF:
            records[place] = version[1 : 1 + _LAMPORTS] + _REST
