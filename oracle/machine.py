"""One VM that holds every account of the ledger and runs one transaction after the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata
from solders.transaction_status import TransactionErrorType, TransactionStatus

from oracle import records
from oracle.errors import OracleError
from oracle.naming import Named, named, with_blockhash
from oracle.nonces import advanced
from oracle.sysvars import Calendar, Sysvars, install

_LOADERS = tuple(
    bytes(Pubkey.from_string(text))
    for text in (
        "BPFLoaderUpgradeab1e11111111111111111111111",
        "BPFLoader2111111111111111111111111111111111",
        "BPFLoader1111111111111111111111111111111111",
        "LoaderV411111111111111111111111111111111111",
    )
)
#: Owners of the feature gates, and of the StakeConfig.
_FEATURES = tuple(
    bytes(Pubkey.from_string(text))
    for text in ("Feature111111111111111111111111111111111111", "Config1111111111111111111111111111111111111")
)
_NATIVE_LOADER = bytes(Pubkey.from_string("NativeLoader1111111111111111111111111111111"))
#: LiteSVM's one answer to programs that cannot be loaded.
NOT_LOADED = '"InvalidProgramForExecution"'
_PROGRAM_DATA = (3).to_bytes(4, "little")


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


class Machine:
    """A LiteSVM with `accounts` (key to record) in it, kept equal to them. It checks neither signatures nor age."""

    def __init__(self, accounts: Mapping[bytes, bytes]) -> None:
        self.accounts = dict(accounts)
        #: What all accounts hold together.
        self.lamports = sum(map(records.lamports, accounts.values()))
        self._sysvars: Sysvars | None = None
        self._calendar = Calendar()
        self._current: LiteSVM | None = None

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
            _put_all(self._current, self.accounts)
        return self._current

    def run(self, raw: bytes, nonce: bytes | None = None) -> Happened:
        """Execute one transaction and keep what it changed; `nonce` is the account whose nonce is its blockhash."""
        transaction = VersionedTransaction.from_bytes(raw)
        names = named(transaction, self.accounts)
        before = {key: self._read(key) for key in names.keys}
        meta = self._vm.send_transaction(with_blockhash(raw, transaction, self.environment))
        inner = meta.meta() if isinstance(meta, FailedTransactionMetadata) else meta
        err = error_text(meta.err()) if isinstance(meta, FailedTransactionMetadata) else None
        payer = names.static[0]
        if err == NOT_LOADED:
            err = self._load_failure(transaction, names)
            self._set(payer, _less(before[payer], inner.fee()))
        paid = self._read(payer) != before[payer]
        if err is not None and nonce is not None and paid:
            self._set(nonce, advanced(self._read(nonce), self.environment))
        return self._happened(names, before, err, inner)

    @property
    def environment(self) -> bytes:
        """The environment blockhash of the slot. Raises OracleError before the first slot."""
        if self._sysvars is None:
            raise OracleError("no slot has begun")
        return self._sysvars.environment_blockhash

    def _happened(
        self, names: Named, before: dict[bytes, bytes], err: str | None, meta: TransactionMetadata
    ) -> Happened:
        after = {key: self._read(key) for key in before}
        changed = {key: after[key] for key in after if after[key] != before[key]}
        self._keep(changed)
        # What the VM compiled is not to be trusted across a deploy, an upgrade or a close: it starts anew.
        if any(_is_code(before[key]) or _is_code(record) for key, record in changed.items()):
            self._current = None
        returned = meta.return_data()
        return Happened(
            err=err,
            fee=sum(map(records.lamports, before.values())) - sum(map(records.lamports, after.values())),
            units=meta.compute_units_consumed(),
            logs=meta.logs(),
            named=names,
            before=[records.lamports(before[key]) for key in names.keys],
            after=[records.lamports(after[key]) for key in names.keys],
            changed=changed,
            records_before=before,
            records_after=after,
            inner=_inner(meta),
            return_program=bytes(returned.program_id) if returned.data else b"",
            return_data=bytes(returned.data),
        )

    def _load_failure(self, transaction: VersionedTransaction, names: Named) -> str:
        """Why the programs of a transaction cannot be loaded: the first instruction that has the fault says it."""
        for instruction in transaction.message.instructions:
            record = self._read(names.keys[instruction.program_id_index])
            if not record:
                return '"ProgramAccountNotFound"'
            if records.owner(record) not in _LOADERS and records.owner(record) != _NATIVE_LOADER:
                return NOT_LOADED
        return NOT_LOADED

    def _set(self, key: bytes, record: bytes) -> None:
        self._vm.set_account(Pubkey(key), records.to_account(record))

    def _read(self, key: bytes) -> bytes:
        return records.to_record(self._vm.get_account(Pubkey(key)))

    def _keep(self, changes: Mapping[bytes, bytes]) -> None:
        for key, record in changes.items():
            self.lamports += records.lamports(record) - records.lamports(self.accounts.pop(key, b""))
            if record:
                self.accounts[key] = record


def _new_vm() -> LiteSVM:
    vm = LiteSVM().with_sigverify(False).with_blockhash_check(False).with_transaction_history(0)
    # Neither its faucet nor the programs and features it brings are in the ledger, unless a genesis put them there.
    owners = (*_LOADERS, *_FEATURES)
    brought = [vm.airdrop_pubkey(), *(key for owner in owners for key, _ in vm.get_program_accounts(Pubkey(owner)))]
    for address in brought:
        vm.set_account(address, records.to_account(b""))
    return vm


def _put_all(vm: LiteSVM, accounts: Mapping[bytes, bytes]) -> None:
    # A program is compiled when its account is set, from the data that must be there by then.
    for key, record in sorted(accounts.items(), key=lambda item: records.is_executable(item[1])):
        try:
            vm.set_account(Pubkey(key), records.to_account(record))
        except Exception as error:
            if type(error).__name__ != "LiteSVMError" or not records.is_executable(record):
                raise
            # The VM takes no program that does not verify; it stays there as an account that cannot be called.
            vm.set_account(Pubkey(key), records.to_account(record[:16] + b"\0" + record[17:]))


def _less(record: bytes, fee: int) -> bytes:
    """A payer's record after the fee; b"" when nothing is left."""
    left = records.lamports(record) - fee
    return left.to_bytes(8, "little") + record[8:] if left else b""


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
