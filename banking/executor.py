"""The real Solana VM over accounts that come from, and go back to, the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from solders.account import Account
from solders.clock import Clock
from solders.hash import Hash
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata

from banking.accounts import Touched
from banking.detail import Balances, Detail, build_detail
from banking.errors import InvariantViolation, VmPanic
from banking.native import NATIVE_LOADER, PROGRAM_LOADERS, SYSVAR_OWNER
from banking.records import Result, lamports_of, pack_account, to_account
from banking.solana_errors import error_json
from banking.wire import WireTransaction

#: Rebuild the VM (10 ms) once it holds this many accounts, to bound its memory.
MOST_HELD_ACCOUNTS = 50_000
_ABSENT = Account(lamports=0, data=b"", owner=Pubkey.default(), executable=False)


@dataclass(frozen=True, slots=True)
class Execution:
    """What running a transaction came to.

    `burned` is the fee taken out of circulation (lamports); `writes` maps each changed account to its new record,
    b"" where it is gone.
    """

    result: Result
    burned: int
    writes: dict[bytes, bytes]
    detail: Detail


class SvmExecutor:
    """One LiteSVM; not for use from several threads.

    Signature and blockhash checks are off in the VM: they are made before it and in the commit script.
    """

    def __init__(self) -> None:
        self._slot = -1
        self.reset()

    def reset(self) -> None:
        """Forget everything and start with a new VM, as after a Rust panic inside it."""
        self._vm = LiteSVM().with_sigverify(False).with_blockhash_check(False).with_transaction_history(0)
        # Its own faucet would be money from nowhere.
        self._vm.set_account(self._vm.airdrop_pubkey(), _ABSENT)
        self._held = dict(self.programs())
        self._native = self.native_keys()
        self._slot = -1

    def programs(self) -> Iterable[tuple[bytes, bytes]]:
        """(public key, record) of the SPL and other BPF programs that come with the VM: part of a genesis."""
        for loader in PROGRAM_LOADERS:
            for key, account in self._vm.get_program_accounts(loader):
                yield bytes(key), pack_account(account)

    def native_keys(self) -> frozenset[bytes]:
        """Builtin programs and sysvars, which live in the VM alone and cannot be written by transactions."""
        owned = [*self._vm.get_program_accounts(NATIVE_LOADER), *self._vm.get_program_accounts(SYSVAR_OWNER)]
        return frozenset(bytes(key) for key, _ in owned)

    def begin(self, slot: int, unix_seconds: int, slot_hashes: Sequence[tuple[int, Hash]] = ()) -> None:
        """Set the clock to `slot`; `slot_hashes` (newest first) are needed only by who creates lookup tables."""
        if len(self._held) > MOST_HELD_ACCOUNTS:
            self.reset()
        if slot != self._slot:
            self._vm.set_clock(Clock(slot, unix_seconds, 0, 0, unix_seconds))
            self._slot = slot
        if slot_hashes:
            self._vm.set_slot_hashes(list(slot_hashes))

    def execute(self, wire: WireTransaction, touched: Touched, view: dict[bytes, bytes]) -> Execution:
        """Run `wire` on the accounts in `view` (key to record, b"" = absent) and put what it wrote into `view`.

        Raises InvariantViolation when lamports were made or lost, VmPanic when the VM broke down; `view` is then as
        before.
        """
        try:
            self._sync(touched, view)
            before = Balances(touched.keys, view, self._native)
            meta = self._vm.send_transaction(wire.parsed)
            writes = self._read_back(touched.writable, view)
            result = _result(meta, burned=_burned(view, writes))
            self._check(meta, result)
        except BaseException as error:
            # The VM may hold something that was never committed.
            self.reset()
            # A Rust panic is no Exception in Python, and would end the worker instead of this transaction.
            if type(error).__name__ == "PanicException":
                raise VmPanic(f"the VM panicked: {error}") from error
            raise
        view.update(writes)
        self._held.update(writes)
        after = Balances(touched.keys, view, self._native)
        return Execution(result, result.fee, writes, build_detail(touched, before, after, _inner(meta)))

    def simulate(self, wire: WireTransaction, touched: Touched, view: dict[bytes, bytes]) -> Execution:
        """As `execute`, but neither the VM nor `view` keeps anything."""
        self._sync(touched, view)
        before = Balances(touched.keys, view, self._native)
        answer = self._vm.simulate_transaction(wire.parsed)
        writes: dict[bytes, bytes] = {}
        if not isinstance(answer, FailedTransactionMetadata):
            writes = {bytes(key): _record(account) for key, account in answer.post_accounts()}
        meta = answer if isinstance(answer, FailedTransactionMetadata) else answer.meta()
        after = Balances(touched.keys, {**view, **writes}, self._native)
        inner = _inner(meta)
        return Execution(
            _result(meta, burned=inner.fee()), inner.fee(), writes, build_detail(touched, before, after, inner)
        )

    def _sync(self, touched: Touched, view: dict[bytes, bytes]) -> None:
        # Program data goes first: the VM compiles a program when its account is set.
        for key in (*touched.implied, *touched.keys):
            record = view.get(key)
            if record is None or self._held.get(key, b"") == record:
                continue
            self._vm.set_account(Pubkey(key), to_account(record) if record else _ABSENT)
            self._held[key] = record

    def _read_back(self, writable: Iterable[bytes], view: dict[bytes, bytes]) -> dict[bytes, bytes]:
        writes = {}
        for key in writable:
            record = _record(self._vm.get_account(Pubkey(key)))
            if record != view.get(key, b""):
                writes[key] = record
        return writes

    def _check(self, meta: TransactionMetadata | FailedTransactionMetadata, result: Result) -> None:
        charged = _inner(meta).fee()
        if result.fee not in ((charged,) if result.err is None else (0, charged)):
            raise InvariantViolation(
                f"lamports not conserved: {result.fee} left circulation, the fee is {charged}; nothing committed"
            )


def _inner(meta: TransactionMetadata | FailedTransactionMetadata) -> TransactionMetadata:
    return meta.meta() if isinstance(meta, FailedTransactionMetadata) else meta


def _record(account: Account | None) -> bytes:
    return pack_account(account) if account is not None and account.lamports else b""


def _burned(view: dict[bytes, bytes], writes: dict[bytes, bytes]) -> int:
    before = sum(lamports_of(view.get(key, b"")) for key in writes)
    return before - sum(lamports_of(record) for record in writes.values())


def _result(meta: TransactionMetadata | FailedTransactionMetadata, *, burned: int) -> Result:
    inner = _inner(meta)
    err = error_json(meta.err()) if isinstance(meta, FailedTransactionMetadata) else None
    return Result(err, burned, inner.compute_units_consumed(), inner.logs())
