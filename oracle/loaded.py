"""How many bytes a transaction loads, by Solana's rule (SIMD-0186): data and 64 bytes for each account that exists."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from oracle import records
from oracle.naming import Named

_OVERHEAD = 64
_TABLE = 8_248
_UPGRADEABLE = bytes.fromhex("02a8f6914e88a1b0e210153ef763ae2b00c2b93d16c124d2c0537a1004800000")
_PROGRAM = (2).to_bytes(4, "little")
#: Errors of what pays its fee and is not loaded.
_FEE_ONLY = ('"ProgramAccountNotFound"', '"InvalidProgramForExecution"', '"MaxLoadedAccountsDataSizeExceeded"')


def loaded_bytes(
    transaction: VersionedTransaction,
    names: Named,
    before: Mapping[bytes, bytes],
    read: Callable[[bytes], bytes],
    err: str | None,
    nonce: bytes | None,
) -> int:
    """`before` are the named accounts before the execution, `read` gives any other; `err` is what it came to."""
    if err in _FEE_ONLY:
        return sum(len(records.data(before[key])) for key in {names.static[0], nonce or names.static[0]})
    counted = {key: record for key, record in before.items() if record}
    for record in list(counted.values()):
        data = records.data(record)
        if records.is_executable(record) and records.owner(record) == _UPGRADEABLE and data[:4] == _PROGRAM:
            code = read(data[4:36])
            if code and data[4:36] not in counted:
                counted[data[4:36]] = code
    message = transaction.message
    tables = len(message.address_table_lookups) if isinstance(message, MessageV0) else 0
    return tables * _TABLE + sum(_OVERHEAD + len(records.data(record)) for record in counted.values())
