"""Builtin programs and sysvars: accounts that live in the VM alone, shown as the VM has them."""

from __future__ import annotations

import struct

from solders.account import Account
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey

from banking.native import NATIVE_LOADER, SYSVAR_OWNER
from banking.records import pack_account
from rpc.reader import Snapshot

CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
RENT = Pubkey.from_string("SysvarRent111111111111111111111111111111111")
#: slot u64, epoch start i64, epoch u64, leader schedule epoch u64, unix time i64 (seconds).
_CLOCK = struct.Struct("<QqQQq")


class NativeAccounts:
    """Records of the accounts that no ledger holds."""

    def __init__(self) -> None:
        vm = LiteSVM()
        owned = [*vm.get_program_accounts(NATIVE_LOADER), *vm.get_program_accounts(SYSVAR_OWNER)]
        self._records = {bytes(key): pack_account(account) for key, account in owned}
        self._clock_key = bytes(CLOCK)
        self._rent = vm.get_rent()

    def record(self, key: bytes, snapshot: Snapshot) -> bytes:
        """The record of a native account, b"" when `key` is none."""
        if key == self._clock_key:
            seconds = snapshot.slot_time_ms // 1000
            data = _CLOCK.pack(snapshot.slot, seconds, 0, 0, seconds)
            return pack_account(Account(lamports=1, data=data, owner=SYSVAR_OWNER, executable=False))
        return self._records.get(key, b"")

    def minimum_balance(self, size: int) -> int:
        """Lamports that exempt an account of `size` bytes of data from rent."""
        return self._rent.minimum_balance(size)
