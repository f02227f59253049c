"""Fees where the VM takes none: of transactions that cannot be loaded, and of those it breaks down on."""

from __future__ import annotations

from typing import Any

from banking.execution.sysvars import LAMPORTS_PER_SIGNATURE
from banking.ledger.records import HEADER_SIZE, OWNER_AT, lamports_of
from banking.transaction import SignedTransaction

_SYSTEM = bytes(32)
_COMPUTE_BUDGET = "ComputeBudget111111111111111111111111111111"
_SIGNATURE_PROGRAMS = frozenset(
    {
        "Ed25519SigVerify111111111111111111111111111",
        "KeccakSecp256k11111111111111111111111111111",
        "Secp256r1SigVerify1111111111111111111111111",
    }
)
#: What exempts an account without data from rent (lamports).
EXEMPT_LAMPORTS = 890_880


def base_fee(transaction: SignedTransaction) -> int:
    """The fee for the signatures alone (lamports)."""
    return LAMPORTS_PER_SIGNATURE * transaction.parsed.message.header.num_required_signatures


def full_fee(transaction: SignedTransaction) -> int:
    """The fee with what is paid for priority (lamports)."""
    return fee_of(transaction.parsed.message)


def fee_of(message: Any) -> int:
    """Lamports: 5,000 for each signature that is checked, and the priority fee."""
    keys = [str(key) for key in message.account_keys]
    signatures = message.header.num_required_signatures
    limit, price, instructions = None, 0, 0
    for instruction in message.instructions:
        place, data = instruction.program_id_index, bytes(instruction.data)
        program = keys[place] if place < len(keys) else ""
        if program in _SIGNATURE_PROGRAMS and data:
            signatures += data[0]
        if program != _COMPUTE_BUDGET:
            instructions += 1
        elif data[:1] == b"\x02" and len(data) >= 5:
            limit = int.from_bytes(data[1:5], "little")
        elif data[:1] == b"\x03" and len(data) >= 9:
            price = int.from_bytes(data[1:9], "little")
    units = min(1_400_000, 200_000 * instructions if limit is None else limit)
    # Micro-lamports, rounded up.
    return int(signatures * LAMPORTS_PER_SIGNATURE + -(-price * units // 1_000_000))


def charged(record: bytes, fee: int) -> bytes:
    """The payer's record after `fee`, b"" when nothing is left."""
    left = lamports_of(record) - fee
    return left.to_bytes(8, "little") + record[8:] if left else b""


def can_pay(record: bytes, fee: int) -> bool:
    """Whether an account without data, as all but nonce accounts that pay are, may pay `fee`."""
    if len(record) != HEADER_SIZE or record[OWNER_AT:] != _SYSTEM:
        return False
    left = lamports_of(record) - fee
    return left == 0 or left >= EXEMPT_LAMPORTS or (left > 0 and lamports_of(record) < EXEMPT_LAMPORTS)
