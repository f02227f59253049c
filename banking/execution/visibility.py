"""Which transactions can see their slot: an execution for one slot is good for another only if it saw none."""

from __future__ import annotations

from collections.abc import Sequence

from banking.transaction import SignedTransaction

_SYSTEM = bytes(32)
# Create, assign, transfer, create with seed, allocate, allocate, assign and transfer with seed; the others are nonces'.
_BLIND = frozenset(number.to_bytes(4, "little") for number in (0, 1, 2, 3, 8, 9, 10, 11))
_COMPUTE_BUDGET = bytes.fromhex("0306466fe5211732ffecadba72c39be7bc8ce5bbc5f7126b2c439b3a40000000")


def sees_slot(transaction: SignedTransaction, keys: Sequence[bytes]) -> bool:
    """Whether the outcome may depend on the slot or on any sysvar of it; `keys` are the accounts it names, in order."""
    if transaction.lookups:
        return True
    for instruction in transaction.parsed.message.instructions:
        program = keys[instruction.program_id_index]
        if program == _COMPUTE_BUDGET:
            continue
        if program != _SYSTEM or bytes(instruction.data)[:4] not in _BLIND:
            return True
    return False
