"""The real Solana VM over accounts that come from, and go back to, the ledger."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import (
    FailedTransactionMetadata,
    SimulatedTransactionInfo,
    SimulateResult,
    TransactionMetadata,
    TransactionResult,
)

from banking.errors import VmPanic
from banking.execution.account_access import AccountAccess
from banking.execution.fees import base_fee, can_pay, charged, full_fee
from banking.execution.loaded_size import loaded_bytes, rolled_back_bytes
from banking.execution.nonces import advanced
from banking.execution.programs import owned_by_loader
from banking.execution.sandbox_program import is_sandbox_call, run_sandbox
from banking.execution.solana_errors import (
    INVALID_PROGRAM_FOR_EXECUTION,
    MAX_LOADED_ACCOUNTS_DATA_SIZE_EXCEEDED,
    PROGRAM_ACCOUNT_NOT_FOUND,
    PROGRAM_FAILED_TO_COMPLETE,
    UNBALANCED_TRANSACTION,
    error_json,
)
from banking.execution.sysvars import RECENT_BLOCKHASHES
from banking.execution.transaction_meta import Balances, TransactionMeta, build_transaction_meta
from banking.execution.vm import MAX_HELD_BYTES, Vm
from banking.ledger.records import EXECUTABLE_AT, Result, lamports_of, pack_account
from banking.ledger.slot_context import SlotContext
from banking.transaction import SignedTransaction

logger = logging.getLogger(__name__)

_RECENT_BLOCKHASHES = bytes(RECENT_BLOCKHASHES)
_LOAD_FAILURES = (PROGRAM_ACCOUNT_NOT_FOUND, INVALID_PROGRAM_FOR_EXECUTION)
_FEE_ONLY = (*_LOAD_FAILURES, MAX_LOADED_ACCOUNTS_DATA_SIZE_EXCEEDED)

Answer = TypeVar("Answer", TransactionResult, SimulateResult)
_Call = Callable[[VersionedTransaction, AccountAccess, dict[bytes, bytes]], Answer]
_Ran = tuple[TransactionMetadata | None, Result, dict[bytes, bytes]]


class Execution(msgspec.Struct, frozen=True):
    """What running a transaction came to.

    `burned` is the fee taken out of circulation (lamports); `writes` maps each changed account to its new record,
    b"" where it is gone.
    """

    result: Result
    burned: int
    writes: dict[bytes, bytes]
    detail: TransactionMeta


class SvmExecutor:
    """Executes transactions on accounts of the ledger; not for use from several threads.

    What an execution comes to depends on its transaction, accounts and slot, and on nothing that ran before.
    """

    def __init__(self, *, most_bytes: int = MAX_HELD_BYTES) -> None:
        self._vm = Vm(most_bytes=most_bytes)

    @property
    def native(self) -> frozenset[bytes]:
        """Builtin programs and sysvars, which live in the VM alone and cannot be written by transactions."""
        return self._vm.native

    def begin(self, context: SlotContext) -> None:
        """Execute for this slot from now on."""
        self._vm.begin(context)

    def execute(
        self,
        transaction: SignedTransaction,
        access: AccountAccess,
        view: dict[bytes, bytes],
        nonce: bytes | None = None,
        *,
        refusal: str | None = None,
    ) -> Execution:
        """Run `transaction` on the accounts in `view` (key to record, b"" = absent) and put what it wrote into `view`.

        `nonce` is the account by which it is valid, where its blockhash is not recent. `refusal` is the error with
        which Solana would not even load it: it costs the fee.
        """
        before = Balances(access.keys, view, self.native)
        loaded = loaded_bytes(transaction, access, view, self._vm.native_bytes)
        try:
            if refusal is not None:
                meta, result, writes = self._refused(transaction, view, refusal)
            elif is_sandbox_call(transaction, access, view):
                # The VM is told of what it wrote when it is next named.
                meta, (result, writes) = None, run_sandbox(transaction, access, view)
            else:
                meta, result, writes = self._executed(transaction, access, view)
        except VmPanic as error:
            meta, result, writes = self._broken(transaction, view, str(error), PROGRAM_FAILED_TO_COMPLETE)
        if result.err in _FEE_ONLY:
            loaded = rolled_back_bytes(access.keys[0], nonce, view)
        if nonce is not None and result.err is not None and result.fee:
            writes[nonce] = advanced(writes.get(nonce, view[nonce]), self._vm.context)
            self._vm.put(nonce, writes[nonce])
        view.update(writes)
        after = before.after(view, writes)
        detail = build_transaction_meta(access, before, after, meta, loaded=loaded)
        return Execution(result, result.fee, writes, detail)

    def simulate(
        self,
        transaction: SignedTransaction,
        access: AccountAccess,
        view: dict[bytes, bytes],
        *,
        refusal: str | None = None,
    ) -> Execution:
        """As `execute`, but neither the VM nor `view` keeps anything.

        Only what the ledger would take a fee for has one here.
        """
        before = Balances(access.keys, view, self.native)
        loaded = loaded_bytes(transaction, access, view, self._vm.native_bytes)
        meta = None
        writes: dict[bytes, bytes] = {}
        if refusal is not None:
            result = Result(refusal, full_fee(transaction), 0, [])
        elif is_sandbox_call(transaction, access, view):
            result, writes = run_sandbox(transaction, access, view)
        else:
            try:
                answer = self._answer(self._vm.simulate, transaction, access, view)
            except VmPanic as error:
                result = Result(PROGRAM_FAILED_TO_COMPLETE, base_fee(transaction), 0, [str(error)])
            else:
                meta = _meta(answer)
                result = _result(meta, self._error(answer, transaction, view), meta.fee())
                if isinstance(answer, SimulatedTransactionInfo):
                    writes = {
                        bytes(key): pack_account(one) if one.lamports else b"" for key, one in answer.post_accounts()
                    }
        if result.err is not None:
            payer = access.keys[0]
            if result.err in _FEE_ONLY:
                loaded = rolled_back_bytes(payer, None, view)
            elif not result.logs:
                # It never began: nobody could be charged for it.
                result, loaded = Result(result.err, 0, 0, []), 0
            if result.fee and lamports_of(view.get(payer, b"")) >= result.fee:
                writes = {payer: charged(view[payer], result.fee)}
        after = Balances(access.keys, {**view, **writes}, self.native)
        detail = build_transaction_meta(access, before, after, meta, loaded=loaded)
        return Execution(result, result.fee, writes, detail)

    def untouched(self, access: AccountAccess, view: Mapping[bytes, bytes]) -> TransactionMeta:
        """What is told of a transaction that is not even loaded."""
        balances = Balances(access.keys, view, self.native)
        return build_transaction_meta(access, balances, balances, loaded=0)

    def _executed(
        self, transaction: SignedTransaction, access: AccountAccess, view: dict[bytes, bytes], *, again: bool = False
    ) -> _Ran:
        answer = self._answer(self._vm.send, transaction, access, view)
        meta, error = _meta(answer), self._error(answer, transaction, view)
        writes = self._vm.changed(access.writable, view)
        if error in _LOAD_FAILURES:
            # The VM has found the payer good, and charges nothing; Solana does.
            writes = self._charge(access.keys[0], meta.fee(), view)
        burned = _burned(view, writes)
        if burned != meta.fee() and (burned or error is None):
            self._vm.reset()
            if not again:
                return self._executed(transaction, access, view, again=True)
            return self._broken(transaction, view, f"{burned} lamports left circulation", UNBALANCED_TRANSACTION)
        return meta, _result(meta, error, burned), writes

    def _refused(self, transaction: SignedTransaction, view: Mapping[bytes, bytes], error: str) -> _Ran:
        payer, fee = bytes(transaction.parsed.message.account_keys[0]), full_fee(transaction)
        writes = self._charge(payer, fee, view) if can_pay(view.get(payer, b""), fee) else {}
        return None, Result(error, fee if writes else 0, 0, []), writes

    def _answer(
        self, call: _Call[Answer], signed: SignedTransaction, access: AccountAccess, view: dict[bytes, bytes]
    ) -> Answer:
        transaction = self._prepared(signed, access)
        try:
            answer = call(transaction, access, view)
        except VmPanic as error:
            # In a new VM, so that nothing which ran here before has a part in it.
            logger.warning("Transaction %s runs once more: %s", signed.parsed.signatures[0], error)
            answer = call(transaction, access, view)
        if isinstance(answer, FailedTransactionMetadata) and error_json(answer.err()) == INVALID_PROGRAM_FOR_EXECUTION:
            dormant = {key: view[key] for key in self._invoked(signed) if _is_dormant(view.get(key, b""))}
            if dormant:
                # Solana loads them, and finds at the call that there is no code.
                with self._vm.disguised(dormant):
                    answer = call(transaction, access, {key: view[key] for key in view if key not in dormant})
        return answer

    def _prepared(self, transaction: SignedTransaction, access: AccountAccess) -> VersionedTransaction:
        """The transaction as the VM is to see it: its blockhash is what nonces derive from."""
        if _RECENT_BLOCKHASHES not in access.keys:
            return transaction.parsed
        place = transaction.blockhash_at
        raw = (
            transaction.raw[:place] + self._vm.context.blockhash + transaction.raw[place + len(transaction.blockhash) :]
        )
        return VersionedTransaction.from_bytes(raw)

    def _error(self, answer: object, transaction: SignedTransaction, view: Mapping[bytes, bytes]) -> str | None:
        if not isinstance(answer, FailedTransactionMetadata):
            return None
        error = error_json(answer.err())
        if error == INVALID_PROGRAM_FOR_EXECUTION:
            # The VM calls both so.
            for key in self._invoked(transaction):
                if not view.get(key):
                    return PROGRAM_ACCOUNT_NOT_FOUND
                if not owned_by_loader(view[key]):
                    return error
        return error

    def _invoked(self, transaction: SignedTransaction) -> list[bytes]:
        """The programs that the message calls, builtin ones left out."""
        message = transaction.parsed.message
        called = (bytes(message.account_keys[one.program_id_index]) for one in message.instructions)
        return [key for key in called if key not in self.native]

    def _charge(self, payer: bytes, fee: int, view: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        record = charged(view[payer], fee)
        self._vm.put(payer, record)
        return {payer: record}

    def _broken(self, transaction: SignedTransaction, view: Mapping[bytes, bytes], why: str, error: str) -> _Ran:
        """The outcome where the VM itself fails, every time and everywhere: the fee, where it can be paid."""
        logger.critical("The VM cannot execute transaction %s: %s", transaction.parsed.signatures[0], why)
        payer, fee = bytes(transaction.parsed.message.account_keys[0]), base_fee(transaction)
        writes = self._charge(payer, fee, view) if can_pay(view.get(payer, b""), fee) else {}
        return None, Result(error, fee if writes else 0, 0, []), writes


def _is_dormant(record: bytes) -> bool:
    return bool(record) and owned_by_loader(record) and not record[EXECUTABLE_AT]


def _meta(answer: TransactionMetadata | FailedTransactionMetadata | SimulatedTransactionInfo) -> TransactionMetadata:
    return answer if isinstance(answer, TransactionMetadata) else answer.meta()


def _burned(view: Mapping[bytes, bytes], writes: Mapping[bytes, bytes]) -> int:
    burned, number = 0, int.from_bytes
    for key, record in writes.items():
        burned += number(view.get(key, b"")[:8], "little") - number(record[:8], "little")
    return burned


def _result(meta: TransactionMetadata, error: str | None, fee: int) -> Result:
    return Result(error, fee, meta.compute_units_consumed(), meta.logs())
