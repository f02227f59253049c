"""The bytes that a transaction loads, as Solana counts them for its cost (SIMD-0186)."""

from __future__ import annotations

from collections.abc import Mapping

from solders.message import MessageV0

from banking.execution.account_access import AccountAccess, program_data_key
from banking.ledger.records import HEADER_SIZE
from banking.transaction import SignedTransaction

#: Counted for every account that exists, beside its data.
_ACCOUNT_BYTES = 64
#: Counted for every lookup table, whatever it holds.
_LOOKUP_TABLE_BYTES = 8_248


def loaded_bytes(
    transaction: SignedTransaction, access: AccountAccess, view: Mapping[bytes, bytes], native: Mapping[bytes, int]
) -> int:
    """What `transaction` loads of the accounts in `view` (key to record, b"" = absent).

    `native` has the bytes of data of those that live in the VM alone. The code of an upgradeable program counts once,
    with the program.
    """
    named = access.keys
    total, code = 0, []
    for key in named:
        record = view.get(key)
        if record:
            total += _ACCOUNT_BYTES - HEADER_SIZE + len(record)
            data_key = program_data_key(record)
            if data_key is not None:
                code.append(data_key)
        elif key in native:
            total += _ACCOUNT_BYTES + native[key]
    for data_key in dict.fromkeys(code):
        record = view.get(data_key)
        if record and data_key not in named:
            total += _ACCOUNT_BYTES - HEADER_SIZE + len(record)
    # What a message names may imply something only where it looks up tables or calls programs.
    return total + (_LOOKUP_TABLE_BYTES * _tables(transaction) if access.implied else 0)


def _tables(transaction: SignedTransaction) -> int:
    message = transaction.parsed.message
    return len(message.address_table_lookups) if isinstance(message, MessageV0) else 0


def rolled_back_bytes(payer: bytes, nonce: bytes | None, view: Mapping[bytes, bytes]) -> int:
    """What counts of a transaction that pays its fee, but cannot be loaded: the accounts that change all the same."""
    records = (view.get(key, b"") for key in {payer, nonce} - {None} if key is not None)
    return sum(len(record) - HEADER_SIZE for record in records if record)
