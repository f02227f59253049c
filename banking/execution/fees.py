"""Fees where the VM takes none: of transactions that cannot be loaded, and of those it breaks down on."""

from __future__ import annotations

from banking.execution.sysvars import LAMPORTS_PER_SIGNATURE
from banking.records import HEADER_SIZE, OWNER_AT, lamports_of
from banking.wire import WireTransaction

_SYSTEM = bytes(32)
#: What exempts an account without data from rent (lamports).
_EXEMPT = 890_880


def base_fee(wire: WireTransaction) -> int:
    """The fee for the signatures alone (lamports)."""
    return LAMPORTS_PER_SIGNATURE * wire.parsed.message.header.num_required_signatures


def charged(record: bytes, fee: int) -> bytes:
    """The payer's record after `fee`, b"" when nothing is left."""
    left = lamports_of(record) - fee
    return left.to_bytes(8, "little") + record[8:] if left else b""


def can_pay(record: bytes, fee: int) -> bool:
    """Whether an account without data, as all but nonce accounts that pay are, may pay `fee`."""
    if len(record) != HEADER_SIZE or record[OWNER_AT:] != _SYSTEM:
        return False
    left = lamports_of(record) - fee
    return left == 0 or left >= _EXEMPT or (left > 0 and lamports_of(record) < _EXEMPT)
