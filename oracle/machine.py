"""One VM that holds every account of the ledger and runs one transaction after the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from solders.pubkey import Pubkey
from solders.solders import LiteSVM
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata
from solders.transaction_status import TransactionErrorType, TransactionStatus

from oracle import records
from oracle.errors import OracleError
from oracle.loaded import loaded_bytes
from oracle.naming import Named, named, with_blockhash
from oracle.nonces import advanced
from oracle.sandbox import Written, written
from oracle.sysvars import LAMPORTS_PER_SIGNATURE, Calendar, Sysvars, install

_LOADERS = tuple(
    bytes(Pubkey.from_string(text))
    for text in (
        "BPFLoaderUpgradeab1e11111111111111111111111",
        "BPFLoader2111111111111111111111111111111111",
        "BPFLoader1111111111111111111111111111111111",
        "LoaderV411111111111111111111111111111111111",
    )
)
_NATIVE_LOADER = bytes(Pubkey.from_string("NativeLoader1111111111111111111111111111111"))
_CONFIG = Pubkey.from_string("Config1111111111111111111111111111111111111")
#: LiteSVM's one answer to programs that cannot be loaded.
NOT_LOADED = '"InvalidProgramForExecution"'
#: What a transaction ends with when the VM breaks down on it.
BROKEN = '{"InstructionError":[0,"ProgramFailedToComplete"]}'
UNBALANCED = '"UnbalancedTransaction"'
_PROGRAM_DATA = (3).to_bytes(4, "little")
#: Data of a program whose code is at an address where nothing is.
_CLOSED = (2).to_bytes(4, "little") + b"\xff" * 32


@dataclass(frozen=True, slots=True)
class Happened:
    """What running one transaction came to. Amounts are lamports; `changed` maps keys to records, b"" = gone.

    `before` and `after` are the lamports of the named accounts, in their order.
    """

    err: str | None
    fee: int
    units: int
    logs: list[str]
    named: Named
    before: list[int]
    after: list[int]
    changed: dict[bytes, bytes]
    records_before: dict[bytes, bytes]
    records_after: dict[bytes, bytes]
    inner: list[tuple[int, list[tuple[int, bytes, bytes, int | None]]]] = field(default_factory=list)
    return_program: bytes = b""
    return_data: bytes = b""
    loaded_bytes: int = 0


class Machine:
    """A LiteSVM with `accounts` (key to record) in it, kept equal to them. It checks neither signatures nor age."""

    def __init__(self, accounts: Mapping[bytes, bytes]) -> None:
        self.accounts = dict(accounts)
        #: What all accounts hold together.
        self.lamports = sum(map(records.lamports, accounts.values()))
        self._sysvars: Sysvars | None = None
        self._calendar = Calendar()
        self._current: LiteSVM | None = None
        self._outworn = False
        self._masked: set[bytes] = set()

    def begin(self, sysvars: Sysvars) -> None:
        """Start a slot."""
        self._sysvars = sysvars
        if self._current is not None:
            install(self._current, sysvars, self._calendar)

    def put(self, changes: Mapping[bytes, bytes]) -> None:
        """Overwrite accounts, as a genesis does; also used to take the archive's word after a divergence."""
        self._keep(changes)
        self._current = None

    @property
    def _vm(self) -> LiteSVM:
        if self._current is None:
            self._current = _new_vm()
            if self._sysvars is not None:
                install(self._current, self._sysvars, self._calendar)
            self._masked = _put_all(self._current, self.accounts)
        return self._current

    def run(self, raw: bytes, nonce: bytes | None = None) -> Happened:
        """Execute one transaction and keep what it changed; `nonce` is the account whose nonce is its blockhash."""
        transaction = VersionedTransaction.from_bytes(raw)
        names = named(transaction, self.accounts)
        before = {key: self._read(key) for key in names.keys}
        if (by_hand := written(transaction, self.accounts)) is not None:
            return self._set_by_hand(transaction, names, before, by_hand)
        sent = with_blockhash(raw, transaction, self.environment)
        err, meta = self._send(sent)
        if err == NOT_LOADED and (fault := self._load_failure(transaction, names)) is None:
            err, meta = self._send_to_dormant(sent, transaction, names)
        elif err == NOT_LOADED and meta is not None:
            err = fault
            self._set(names.static[0], _less(before[names.static[0]], meta.fee()))
        elif meta is not None and self._burned(before) not in ((0, meta.fee()) if err is not None else (meta.fee(),)):
            err, meta = self._broken(UNBALANCED, names.static[0], transaction), None
        paid = self._read(names.static[0]) != before[names.static[0]]
        if err is not None and nonce is not None and paid:
            self._set(nonce, advanced(self._read(nonce), self.environment))
        # Before what it changed is kept: `accounts` is as it was.
        loaded = loaded_bytes(transaction, names, before, lambda key: self.accounts.get(key, b""), err, nonce)
        return replace(self._happened(names, before, err, meta), loaded_bytes=loaded)

    def _set_by_hand(
        self, transaction: VersionedTransaction, names: Named, before: dict[bytes, bytes], done: Written
    ) -> Happened:
        """What the sandbox program did, which the VM does not know, and now gets to know."""
        changed = done.accounts
        after = {key: changed.get(key, before[key]) for key in before}
        loaded = loaded_bytes(transaction, names, before, lambda key: self.accounts.get(key, b""), done.err, None)
        self._keep(changed)
        both = [record for key in changed for record in (before[key], after[key])]
        if any(_is_code(record) or records.is_executable(record) for record in both):
            self._current = None
        else:
            for key, record in changed.items():
                self._set(key, record)
        return Happened(
            err=done.err,
            fee=_sum(before) - _sum(after),
            units=0,
            logs=done.logs,
            named=names,
            before=[records.lamports(before[key]) for key in names.keys],
            after=[records.lamports(after[key]) for key in names.keys],
            changed=changed,
            records_before=before,
            records_after=after,
            loaded_bytes=loaded,
        )

    @property
    def environment(self) -> bytes:
        """The environment blockhash of the slot. Raises OracleError before the first slot."""
        if self._sysvars is None:
            raise OracleError("no slot has begun")
        return self._sysvars.environment_blockhash

    def _send(self, transaction: VersionedTransaction) -> tuple[str | None, TransactionMetadata | None]:
        """Error and metadata; no metadata where the VM itself broke down."""
        try:
            meta = self._vm.send_transaction(transaction)
        except BaseException as error:
            # A Rust panic is no Exception in Python.
            if type(error).__name__ != "PanicException":
                raise
            return self._broken(BROKEN, bytes(transaction.message.account_keys[0]), transaction), None
        if isinstance(meta, FailedTransactionMetadata):
            return error_text(meta.err()), meta.meta()
        return None, meta

    def _broken(self, error: str, payer: bytes, transaction: VersionedTransaction) -> str:
        """Nothing that the VM did counts; the payer pays for the signatures, if it can."""
        self._current = None
        fee = LAMPORTS_PER_SIGNATURE * transaction.message.header.num_required_signatures
        if records.can_pay(self._read(payer), fee):
            self._set(payer, _less(self._read(payer), fee))
        return error

    def _happened(
        self, names: Named, before: dict[bytes, bytes], err: str | None, meta: TransactionMetadata | None
    ) -> Happened:
        after = {key: self._read(key) for key in before}
        changed = {key: after[key] for key in after if after[key] != before[key]}
        self._keep(changed)
        # What the VM compiled is not to be trusted across a deploy, an upgrade or a close: it starts anew.
        if self._outworn or any(_is_code(before[key]) or _is_code(record) for key, record in changed.items()):
            self._current, self._outworn = None, False
        returned = meta.return_data() if meta is not None else None
        data = bytes(returned.data) if returned is not None else b""
        return Happened(
            err=err,
            fee=_sum(before) - _sum(after),
            units=meta.compute_units_consumed() if meta is not None else 0,
            logs=meta.logs() if meta is not None else [],
            named=names,
            before=[records.lamports(before[key]) for key in names.keys],
            after=[records.lamports(after[key]) for key in names.keys],
            changed=changed,
            records_before=before,
            records_after=after,
            inner=_inner(meta) if meta is not None else [],
            return_program=bytes(returned.program_id) if returned is not None and data else b"",
            return_data=data,
        )

    def _load_failure(self, transaction: VersionedTransaction, names: Named) -> str | None:
        """Why a program cannot be loaded: the first instruction with a fault says it. None: all belong to loaders."""
        for key in _called(transaction, names):
            record = self._read(key)
            if not record:
                return '"ProgramAccountNotFound"'
            if records.owner(record) not in (*_LOADERS, _NATIVE_LOADER):
                return NOT_LOADED
        return None

    def _send_to_dormant(
        self, sent: VersionedTransaction, transaction: VersionedTransaction, names: Named
    ) -> tuple[str | None, TransactionMetadata | None]:
        """Solana calls what belongs to a loader, and finds then that there is no code: the VM is shown a closed one."""
        called = {key: self._read(key) for key in _called(transaction, names)}
        dormant = {
            key: record for key, record in called.items() if not records.is_executable(record) or key in self._masked
        }
        for key, record in dormant.items():
            self._set(key, record[:16] + b"\1" + _LOADERS[0] + _CLOSED)
        answer = self._send(sent)
        for key, record in dormant.items():
            self._set(key, _not_executable(record))
        # The VM remembers them as programs.
        self._outworn = True
        return answer

    def _burned(self, before: Mapping[bytes, bytes]) -> int:
        return _sum(before) - _sum({key: self._read(key) for key in before})

    def _set(self, key: bytes, record: bytes) -> None:
        self._vm.set_account(Pubkey(key), records.to_account(record))

    def _read(self, key: bytes) -> bytes:
        record = records.to_record(self._vm.get_account(Pubkey(key)))
        return record[:16] + b"\1" + record[17:] if key in self._masked and record else record

    def _keep(self, changes: Mapping[bytes, bytes]) -> None:
        for key, record in changes.items():
            self.lamports += records.lamports(record) - records.lamports(self.accounts.pop(key, b""))
            if record:
                self.accounts[key] = record


def _new_vm() -> LiteSVM:
    """Builtin programs, precompiles and sysvars; all else that a LiteSVM brings along is in the genesis or nowhere."""
    vm = LiteSVM.default()
    vm.set_mainnet_features()
    vm.set_builtins()
    vm.set_sysvars()
    vm.set_precompiles()
    vm.set_transaction_history(0)
    for key, _ in vm.get_program_accounts(_CONFIG):
        vm.set_account(key, records.to_account(b""))
    return vm


def _put_all(vm: LiteSVM, accounts: Mapping[bytes, bytes]) -> set[bytes]:
    """Put them there; returns the programs that the VM takes only when they are not marked as executable."""
    masked = set()
    # A program is compiled when its account is set, from the data that must be there by then.
    for key, record in sorted(accounts.items(), key=lambda item: records.is_executable(item[1])):
        if _put(vm, key, record):
            continue
        # Its code does not verify. Without code at that moment it is a closed one, which is what calls are to find.
        data_key = records.data(record)[4:36] if records.owner(record) == _LOADERS[0] else b""
        if len(data_key) == 32:
            _put(vm, data_key, b"")
        if not _put(vm, key, record):
            _put(vm, key, _not_executable(record))
            masked.add(key)
        if len(data_key) == 32:
            _put(vm, data_key, accounts.get(data_key, b""))
    return masked


def _put(vm: LiteSVM, key: bytes, record: bytes) -> bool:
    """Set an account; False for a program that the VM does not take."""
    try:
        vm.set_account(Pubkey(key), records.to_account(record))
    except Exception as error:
        if type(error).__name__ != "LiteSVMError" or not records.is_executable(record):
            raise
        return False
    return True


def _not_executable(record: bytes) -> bytes:
    return record[:16] + b"\0" + record[17:]


def _sum(accounts: Mapping[bytes, bytes]) -> int:
    return sum(map(records.lamports, accounts.values()))


def _called(transaction: VersionedTransaction, names: Named) -> list[bytes]:
    """The programs of the instructions, in their order."""
    return [names.keys[instruction.program_id_index] for instruction in transaction.message.instructions]


def _less(record: bytes, fee: int) -> bytes:
    """A payer's record after the fee; b"" when nothing is left."""
    return records.with_lamports(record, records.lamports(record) - fee)


def error_text(error: TransactionErrorType) -> str:
    """Solana's own JSON of a transaction error, as its RPC prints it."""
    status: Any = json.loads(TransactionStatus(0, None, error, None).to_json())
    return json.dumps(status["status"]["Err"], separators=(",", ":"))


def _is_code(record: bytes) -> bool:
    if records.owner(record) not in _LOADERS:
        return False
    return records.is_executable(record) or records.data(record)[:4] == _PROGRAM_DATA


def _inner(meta: TransactionMetadata) -> list[tuple[int, list[tuple[int, bytes, bytes, int | None]]]]:
    found = []
    for index, calls in enumerate(meta.inner_instructions()):
        rows = [
            (one.program_id_index, bytes(one.accounts), bytes(one.data), call.stack_height())
            for call in calls
            for one in [call.instruction()]
        ]
        if rows:
            found.append((index, rows))
    return found
