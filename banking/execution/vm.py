"""The VM, holding what the ledger holds and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from solders.account import Account
from solders.pubkey import Pubkey
from solders.solders import LiteSVM
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import SimulateResult, TransactionResult

from banking.errors import VmPanic
from banking.execution.account_access import AccountAccess, program_data_key
from banking.execution.native import NATIVE_LOADER, PROGRAM_LOADERS, SYSVAR_OWNER
from banking.execution.programs import Programs, not_deployed
from banking.execution.sysvars import (
    EPOCH_SCHEDULE,
    EPOCH_SCHEDULE_DATA,
    EVERY_SLOT,
    ON_DEMAND,
    SIZES,
    sysvar_account,
    sysvar_data,
)
from banking.ledger.records import EXECUTABLE_AT, pack_account, to_account
from banking.ledger.slot_context import SlotContext

#: Start with a new VM (0.2 ms, and up to 5 for each program used again) once this one holds so many bytes.
MAX_HELD_BYTES = 256 * 1024 * 1024
#: What an account costs beside its record.
_ACCOUNT_BYTES = 256
_ABSENT = Account(lamports=0, data=b"", owner=Pubkey.default(), executable=False)
_STAKE_CONFIG = Pubkey.from_string("StakeConfig11111111111111111111111111111111")
_ON_DEMAND = frozenset(ON_DEMAND)

Answer = TypeVar("Answer")


def bundled_programs() -> Iterator[tuple[bytes, bytes]]:
    """(public key, record) of the SPL and other BPF programs that come with LiteSVM: part of a genesis."""
    vm = LiteSVM()
    for loader in PROGRAM_LOADERS:
        for key, account in vm.get_program_accounts(loader):
            yield bytes(key), pack_account(account)


def builtin_accounts(owned_by: Callable[[Pubkey], list[tuple[Pubkey, Account]]]) -> list[tuple[Pubkey, Account]]:
    """The builtin programs and sysvars, which live in the VM alone; `owned_by` is its `get_program_accounts`."""
    return [*owned_by(NATIVE_LOADER), *owned_by(SYSVAR_OWNER)]


class Vm:
    """One LiteSVM; not for use from several threads.

    Signature and blockhash checks are off in it: they are made before it and in the commit script. It begins with the
    builtin programs and sysvars only, and learns of accounts as transactions touch them.
    """

    def __init__(self, *, most_bytes: int = MAX_HELD_BYTES) -> None:
        self._most_bytes = most_bytes
        self._context: SlotContext | None = None
        self.reset()
        natives = builtin_accounts(self._vm.get_program_accounts)
        #: Builtin programs and sysvars, which live in the VM alone, and the bytes of their data.
        self.native_bytes = {bytes(key): len(account.data) for key, account in natives} | SIZES
        self.native = frozenset(self.native_bytes)

    def reset(self) -> None:
        """Forget everything and start with a new VM."""
        self._vm = _new_vm()
        self._held: dict[bytes, bytes] = {}
        self._shown: dict[bytes, bytes] = {}
        self._programs = Programs()
        self._on_demand: set[bytes] = set()
        self._record_bytes = 0
        if self._context is not None:
            self._set_sysvars(EVERY_SLOT)

    @property
    def held_bytes(self) -> int:
        """About what it holds: records, and the code compiled from them."""
        return self._record_bytes + self._programs.code_bytes

    @property
    def context(self) -> SlotContext:
        """The slot that it executes for."""
        if self._context is None:
            raise ValueError("the VM was not told its slot")
        return self._context

    def begin(self, context: SlotContext) -> None:
        """Execute for this slot from now on."""
        if self.held_bytes > self._most_bytes:
            self.reset()
        if context != self._context:
            self._context = context
            self._on_demand.clear()
            self._set_sysvars(EVERY_SLOT)

    def send(
        self, transaction: VersionedTransaction, access: AccountAccess, view: dict[bytes, bytes]
    ) -> TransactionResult:
        """Run `transaction` on the accounts in `view` (key to record, b"" = absent). Raises VmPanic."""
        return self._run(self._vm_send, transaction, access, view)

    def simulate(
        self, transaction: VersionedTransaction, access: AccountAccess, view: dict[bytes, bytes]
    ) -> SimulateResult:
        """As `send`, without keeping what it wrote. Raises VmPanic."""
        return self._run(self._vm_simulate, transaction, access, view)

    def changed(self, keys: Iterable[bytes], view: dict[bytes, bytes]) -> dict[bytes, bytes]:
        """The records of those `keys` that the last transaction changed."""
        # Several times for every transaction: no detours.
        writes, get = {}, self._vm.get_account
        for key in keys:
            account = get(Pubkey(key))
            record = pack_account(account) if account is not None and account.lamports else b""
            if key in self._shown:
                record = self._as_it_is(key, record)
            if record != view.get(key, b""):
                writes[key] = record
        self._note(writes)
        return writes

    def put(self, key: bytes, record: bytes) -> None:
        """Set an account that is no program."""
        self._vm.set_account(Pubkey(key), to_account(record) if record else _ABSENT)
        self._note({key: record})

    @contextmanager
    def disguised(self, records: Mapping[bytes, bytes]) -> Iterator[None]:
        """Show the VM programs without code in the place of `records`, which are no programs but are called as such."""
        for key, record in records.items():
            self._vm.set_account(Pubkey(key), to_account(not_deployed(record)))
        try:
            yield
        finally:
            for key, record in records.items():
                self.put(key, record)
            # Its cache knows them as programs now, which is to be forgotten before they are named again.
            self._programs.cached.update(records)

    # ---- one guarded way into the VM

    def _run(
        self,
        call: Callable[[VersionedTransaction], Answer],
        transaction: VersionedTransaction,
        access: AccountAccess,
        view: dict[bytes, bytes],
    ) -> Answer:
        try:
            self._sync(access, view)
            return call(transaction)
        except BaseException as error:
            # It may hold something that was never committed, and after a panic anything.
            self.reset()
            # A Rust panic is no Exception in Python, and would end the process instead of this transaction.
            if type(error).__name__ == "PanicException":
                raise VmPanic(f"the VM panicked: {error}") from error
            raise

    def _vm_send(self, transaction: VersionedTransaction) -> TransactionResult:
        return self._vm.send_transaction(transaction)

    def _vm_simulate(self, transaction: VersionedTransaction) -> SimulateResult:
        return self._vm.simulate_transaction(transaction)

    # ---- keeping it equal to the ledger

    def _sync(self, access: AccountAccess, view: dict[bytes, bytes]) -> None:
        programs = []
        for key in (*access.implied, *access.keys):
            record = view.get(key)
            if record is None:
                continue
            if record and record[EXECUTABLE_AT]:
                programs.append((key, record))
            elif key in self._programs.cached:
                # Compiled code cannot be taken out of a LiteSVM, and would go on running.
                self.reset()
                self._sync(access, view)
                return
            elif self._held.get(key, b"") != record:
                self.put(key, record)
        # Their data is in place now: the VM compiles a program when its account is set.
        for key, record in programs:
            self._deploy(key, record, view)
        if not _ON_DEMAND.isdisjoint(access.keys):
            missing = _ON_DEMAND.intersection(access.keys) - self._on_demand
            self._set_sysvars(missing)
            self._on_demand |= missing

    def _deploy(self, key: bytes, record: bytes, view: dict[bytes, bytes]) -> None:
        if self._programs.is_current(key, record, view):
            return
        data_key = program_data_key(record)
        data = view.get(data_key, b"") if data_key is not None else b""
        if data_key is not None and self._held.get(data_key, b"") != data:
            self.put(data_key, data)
        if not self._compile(key, record):
            self._deploy_nothing(key, record, data_key, data)
        self._programs.compiled(key, record, data_key, data)

    def _deploy_nothing(self, key: bytes, record: bytes, data_key: bytes | None, data: bytes) -> None:
        """Have the program's account, but no code: what it has cannot be verified."""
        if data_key is not None and data:
            self._vm.set_account(Pubkey(data_key), _ABSENT)
            done = self._compile(key, record)
            self._vm.set_account(Pubkey(data_key), to_account(data))
            if done:
                return
        shown = not_deployed(record)
        self._vm.set_account(Pubkey(key), to_account(shown))
        self._note({key: record})
        self._shown[key] = shown

    def _compile(self, key: bytes, record: bytes) -> bool:
        try:
            self._vm.set_account(Pubkey(key), to_account(record))
        except Exception as error:
            # solders exports no type for it.
            if type(error).__name__ != "LiteSVMError":
                raise
            return False
        self._note({key: record})
        return True

    def _note(self, writes: dict[bytes, bytes]) -> None:
        held = self._held
        for key, record in writes.items():
            known = held.get(key)
            self._record_bytes += len(record) + (_ACCOUNT_BYTES if known is None else -len(known))
            held[key] = record
        if self._shown:
            for key in writes:
                self._shown.pop(key, None)
        self._programs.written(writes)

    def _as_it_is(self, key: bytes, record: bytes) -> bytes:
        """The record of an account that the VM is shown in another form."""
        if record[8:] != self._shown[key][8:]:
            return record
        # All that can happen to it is that lamports are sent there.
        return record[:8] + self._held[key][8:]

    def _set_sysvars(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            data = sysvar_data(key, self.context)
            if data is not None:
                self._vm.set_account(Pubkey(key), sysvar_account(data))


def _new_vm() -> LiteSVM:
    """As `LiteSVM()`, without its SPL programs, feature accounts and faucet: what is not in the ledger is nowhere."""
    vm = LiteSVM.default()
    vm.set_mainnet_features()
    vm.set_builtins()
    vm.set_sysvars()
    vm.set_precompiles()
    vm.set_transaction_history(0)
    vm.set_account(_STAKE_CONFIG, _ABSENT)
    vm.set_account(EPOCH_SCHEDULE, sysvar_account(EPOCH_SCHEDULE_DATA))
    return vm
