"""The sandbox program: an operator's writes to accounts, as instructions of ordinary transactions (ADR 0031).

It runs only where the genesis has its account, which names the one key that may sign. docs/execution.md has its
instructions and rules; the oracle has an implementation of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from solders.account import Account
from solders.pubkey import Pubkey

from banking.execution.account_access import AccountAccess, program_data_key
from banking.execution.fees import EXEMPT_LAMPORTS, base_fee, can_pay, charged
from banking.ledger.records import EXECUTABLE_AT, HEADER_SIZE, OWNER_AT, Result, lamports_of, pack_account
from banking.transaction import SignedTransaction

SANDBOX_PROGRAM = Pubkey.from_string("TrunkLineSandbox111111111111111111111111111")
_ID = bytes(SANDBOX_PROGRAM)
#: The loader of programs that nobody can upgrade, whose code stands in their own account.
_FINAL_LOADER = bytes(Pubkey.from_string("BPFLoader2111111111111111111111111111111111"))
#: Data of a program that can be upgraded: a tag, and the address of its program data.
_PROGRAM_BYTES = 36
_KEY_BYTES = 32
#: Exempts 32 bytes from rent.
_LAMPORTS = 1_113_600
#: Solana's most for the data of one account, and ours for what is written in pieces (bytes).
_MAX_DATA_BYTES, MAX_BUFFER_BYTES = 10 * 1024 * 1024, 256 * 1024
#: Instructions begin with their tag and 8 bytes that make two equal ones different.
SET, WRITE, SET_FROM_BUFFER = 0, 1, 2
HEAD_BYTES = 9
_PIECE_AT = HEAD_BYTES + 8
_BUFFER_LAMPORTS = 1

#: Errors of instructions, and what a program's log says of them.
_WORDS = {
    "InvalidInstructionData": "invalid instruction data",
    "NotEnoughAccountKeys": "insufficient account keys for instruction",
    "IncorrectAuthority": "Incorrect authority provided",
    "InvalidArgument": "invalid program argument",
    "InsufficientFunds": "insufficient funds for instruction",
}


class _Fault(Exception):
    """An instruction fails with this error."""


def sandbox_account(authority: Pubkey) -> dict[bytes, bytes]:
    """Key to record of the account by which a genesis lets `authority` write accounts."""
    account = Account(lamports=_LAMPORTS, data=bytes(authority), owner=SANDBOX_PROGRAM, executable=False)
    return {_ID: pack_account(account)}


def authority_in(record: bytes) -> bytes | None:
    """Who may write accounts, by the program's own account; None where there is none."""
    data = record[HEADER_SIZE:]
    return data if record[OWNER_AT:HEADER_SIZE] == _ID and len(data) == _KEY_BYTES else None


def is_sandbox_call(transaction: SignedTransaction, access: AccountAccess, view: Mapping[bytes, bytes]) -> bool:
    """Whether `transaction` is the sandbox program's, all of it; what only calls it among others is the VM's."""
    if _ID not in access.keys or transaction.lookups:
        return False
    message = transaction.parsed.message
    programs = {access.keys[one.program_id_index] for one in message.instructions}
    return programs == {_ID} and authority_in(view.get(_ID, b"")) is not None


def run_sandbox(
    transaction: SignedTransaction, access: AccountAccess, view: Mapping[bytes, bytes]
) -> tuple[Result, dict[bytes, bytes]]:
    """What `transaction` comes to, and the records that it changes: all that its instructions do, or its fee alone."""
    payer, fee = access.keys[0], base_fee(transaction)
    if not can_pay(view.get(payer, b""), fee):
        return Result('"InsufficientFundsForFee"' if view.get(payer) else '"AccountNotFound"', 0, 0, []), {}
    paid = {payer: charged(view[payer], fee)}
    run = _Run(transaction, access, view, dict(paid))
    logs = []
    for place, instruction in enumerate(transaction.parsed.message.instructions):
        logs.append(f"Program {SANDBOX_PROGRAM} invoke [1]")
        try:
            run.instruction(bytes(instruction.data), bytes(instruction.accounts))
        except _Fault as fault:
            logs.append(f"Program {SANDBOX_PROGRAM} failed: {_WORDS[str(fault)]}")
            return Result(f'{{"InstructionError":[{place},"{fault}"]}}', fee, 0, logs), paid
        logs.append(f"Program {SANDBOX_PROGRAM} success")
    writes = {key: record for key, record in run.writes.items() if record != view.get(key, b"")}
    return Result(None, fee, 0, logs), writes


class _Run:
    """The instructions of one transaction on what the ones before have written."""

    def __init__(
        self,
        transaction: SignedTransaction,
        access: AccountAccess,
        view: Mapping[bytes, bytes],
        writes: dict[bytes, bytes],
    ) -> None:
        self._keys = access.keys
        self._writable = frozenset(access.writable)
        self._signers = frozenset(access.keys[: transaction.parsed.message.header.num_required_signatures])
        self._view = view
        authority = authority_in(view[_ID])
        assert authority is not None, "asked before"
        self._authority = authority
        self.writes = writes

    def instruction(self, data: bytes, accounts: bytes) -> None:
        """Raises _Fault."""
        if len(data) < HEAD_BYTES or data[0] not in (SET, WRITE, SET_FROM_BUFFER):
            raise _Fault("InvalidInstructionData")
        count = 3 if data[0] == SET_FROM_BUFFER else 2
        if len(accounts) < count:
            raise _Fault("NotEnoughAccountKeys")
        authority, *targets = (self._keys[place] for place in accounts[:count])
        if authority != self._authority or not (authority in self._signers and authority in self._writable):
            raise _Fault("IncorrectAuthority")
        if len(set(targets)) < len(targets) or not self._writable.issuperset(targets):
            raise _Fault("InvalidArgument")
        if authority in targets or _ID in targets:
            raise _Fault("InvalidArgument")
        if data[0] == SET:
            self._put(targets[0], self._checked(data[HEAD_BYTES:]))
        elif data[0] == WRITE:
            self._write(targets[0], data)
        else:
            self._set_from(targets[0], targets[1], data[HEAD_BYTES:])

    def _write(self, buffer: bytes, data: bytes) -> None:
        if len(data) < _PIECE_AT:
            raise _Fault("InvalidInstructionData")
        total, offset = (int.from_bytes(data[at : at + 4], "little") for at in (HEAD_BYTES, HEAD_BYTES + 4))
        piece = data[_PIECE_AT:]
        if not 0 < total <= MAX_BUFFER_BYTES or offset + len(piece) > total:
            raise _Fault("InvalidInstructionData")
        record = self._record(buffer)
        if not record:
            head = Account(lamports=_BUFFER_LAMPORTS, data=b"", owner=SANDBOX_PROGRAM, executable=False)
            record = pack_account(head) + bytes(total)
        elif record[OWNER_AT:HEADER_SIZE] != _ID or len(record) != HEADER_SIZE + total:
            raise _Fault("InvalidArgument")
        at = HEADER_SIZE + offset
        self._put(buffer, record[:at] + piece + record[at + len(piece) :])

    def _set_from(self, target: bytes, buffer: bytes, head: bytes) -> None:
        if len(head) != HEADER_SIZE:
            raise _Fault("InvalidInstructionData")
        record = self._record(buffer)
        if record[OWNER_AT:HEADER_SIZE] != _ID:
            raise _Fault("InvalidArgument")
        self._put(buffer, b"")
        self._put(target, self._checked(head + record[HEADER_SIZE:]))

    def _put(self, key: bytes, record: bytes) -> None:
        """Write `record`; the authority pays for its lamports, or gets them back."""
        authority = self._record(self._authority)
        left = lamports_of(authority) + lamports_of(self._record(key)) - lamports_of(record)
        if not authority or left < EXEMPT_LAMPORTS:
            raise _Fault("InsufficientFunds")
        self.writes[self._authority] = left.to_bytes(8, "little") + authority[8:]
        self.writes[key] = record

    def _record(self, key: bytes) -> bytes:
        return self.writes.get(key, self._view.get(key, b""))

    def _checked(self, record: bytes) -> bytes:
        """`record`, b"" for an account that is to go. Raises _Fault when it is no account, or no program."""
        if not record:
            return record
        if not HEADER_SIZE <= len(record) <= HEADER_SIZE + _MAX_DATA_BYTES:
            raise _Fault("InvalidInstructionData")
        if not lamports_of(record) or record[EXECUTABLE_AT] > 1:
            raise _Fault("InvalidInstructionData")
        if record[EXECUTABLE_AT] and record[OWNER_AT:HEADER_SIZE] != _FINAL_LOADER:
            data_key = program_data_key(record)
            # Named, it is at hand for what comes behind this in the same batch, and calls the program.
            if len(record) != HEADER_SIZE + _PROGRAM_BYTES or data_key is None or data_key not in self._keys:
                raise _Fault("InvalidArgument")
        return record
