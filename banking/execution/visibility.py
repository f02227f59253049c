"""Which transactions can see their slot: an execution for one slot is good for another only if it saw none."""

from __future__ import annotations

from banking.transaction import SignedTransaction

_SYSTEM = bytes(32)
# Create, assign, transfer, create with seed, allocate, allocate, assign and transfer with seed; the others are nonces'.
_BLIND = frozenset(number.to_bytes(4, "little") for number in (0, 1, 2, 3, 8, 9, 10, 11))
_COMPUTE_BUDGET = bytes.fromhex("0306466fe5211732ffecadba72c39be7bc8ce5bbc5f7126b2c439b3a40000000")


def sees_slot(transaction: SignedTransaction) -> bool:
    """Whether the outcome may depend on the slot or on any sysvar of it."""
    if transaction.lookups:
        return True
    raw, keys_at = transaction.raw, transaction.header_at + 4
    for instruction in transaction.parsed.message.instructions:
        at = keys_at + 32 * instruction.program_id_index
        program = raw[at : at + 32]
        if program == _COMPUTE_BUDGET:
            continue
        if program != _SYSTEM or bytes(instruction.data)[:4] not in _BLIND:
            return True
    return False
