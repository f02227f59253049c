"""Rent as Solana shows it: an account that a transaction has written is exempt for ever.

The VM leaves the rent epoch of an account as it is, and 0 in a new one. Agave writes the largest number there, whenever
an account that has enough lamports is written; what was never written since the genesis stays as it was put there.
"""

from __future__ import annotations

from banking.ledger.versions import sequence

#: The sequence number of what the genesis put there.
_GENESIS = 1
_AT, _END = 8, 16
_NEVER = bytes(_END - _AT)
_EXEMPT = b"\xff" * (_END - _AT)


def shown(record: bytes, version: bytes | None) -> bytes:
    """The record of an account as clients are to see it."""
    return exempt(record) if version and sequence(version) > _GENESIS else record


def exempt(record: bytes) -> bytes:
    """The record of an account that was written by a transaction; b"" stays."""
    return record[:_AT] + _EXEMPT + record[_END:] if record[_AT:_END] == _NEVER else record
