"""Builtin programs and sysvars: accounts that live in the VM alone, shown as the VM has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from solders.litesvm import LiteSVM

from banking.execution.sysvars import (
    CLOCK,
    EPOCH_SCHEDULE,
    EPOCH_SCHEDULE_DATA,
    HASHED,
    sysvar_account,
    sysvar_data,
)
from banking.execution.vm import builtin_accounts
from banking.ledger.async_ledger import Snapshot
from banking.ledger.records import HEADER_SIZE, OWNER_AT, pack_account
from banking.ledger.slot_context import slot_context

_CLOCK = bytes(CLOCK)


class NativeAccounts:
    """Records of the accounts that no ledger holds."""

    def __init__(self) -> None:
        vm = LiteSVM()
        owned = builtin_accounts(vm.get_program_accounts)
        self._records = {bytes(key): pack_account(account) for key, account in owned}
        self._records[bytes(EPOCH_SCHEDULE)] = pack_account(sysvar_account(EPOCH_SCHEDULE_DATA))
        self._rent = vm.get_rent()

    def owned_by(self, program: bytes) -> list[bytes]:
        """The keys of the native accounts that belong to `program`."""
        return [key for key, record in self._records.items() if record[OWNER_AT:HEADER_SIZE] == program]

    def needs_blockhashes(self, keys: Iterable[bytes]) -> bool:
        """Whether one of `keys` is a sysvar of recent blocks' hashes."""
        return not HASHED.isdisjoint(keys)

    def record(self, key: bytes, snapshot: Snapshot, blockhashes: Mapping[bytes, int] | None = None) -> bytes:
        """The record of a native account as programs see it in the open slot, b"" when `key` is none.

        `blockhashes` are the ledger's, for what needs them.
        """
        if key == _CLOCK or (key in HASHED and blockhashes is not None):
            data = sysvar_data(key, slot_context(snapshot.slot, snapshot.slot_time_ms, (blockhashes or {}).items()))
            return pack_account(sysvar_account(data or b""))
        return self._records.get(key, b"")

    def minimum_balance(self, size: int) -> int:
        """Lamports that exempt an account of `size` bytes of data from rent."""
        return self._rent.minimum_balance(size)
