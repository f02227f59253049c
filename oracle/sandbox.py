"""Accounts that an operator set by hand: the sandbox program's transactions, by docs/execution.md alone."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from oracle import records
from oracle.naming import is_static_writable
from oracle.reserved import RESERVED
from oracle.sysvars import LAMPORTS_PER_SIGNATURE

PROGRAM = bytes(Pubkey.from_string("TrunkLineSandbox111111111111111111111111111"))
_NAME = str(Pubkey(PROGRAM))
_FINAL_LOADER = bytes(Pubkey.from_string("BPFLoader2111111111111111111111111111111111"))
_UPGRADEABLE_LOADER = bytes(Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111"))
_PIECE = struct.Struct("<II")
#: Tag, and how many accounts its instruction needs.
_ACCOUNTS = {0: 2, 1: 2, 2: 3}
_UNIQUE_END = 9
_MOST_DATA, _MOST_BUFFER = 10 * 2**20, 2**18
_LOG = {
    "InvalidInstructionData": "invalid instruction data",
    "NotEnoughAccountKeys": "insufficient account keys for instruction",
    "IncorrectAuthority": "Incorrect authority provided",
    "InvalidArgument": "invalid program argument",
    "InsufficientFunds": "insufficient funds for instruction",
}


@dataclass(slots=True)
class Written:
    """What such a transaction comes to: `accounts` are all that it leaves changed, key to record, b"" = gone."""

    err: str | None = None
    logs: list[str] = field(default_factory=list)
    accounts: dict[bytes, bytes] = field(default_factory=dict)


def sandbox_authority(accounts: Mapping[bytes, bytes]) -> bytes | None:
    """The key that may set accounts, where the ledger's genesis has named one."""
    record = accounts.get(PROGRAM, b"")
    named = records.data(record) if records.owner(record) == PROGRAM else b""
    return named if len(named) == 32 else None


def written(transaction: VersionedTransaction, accounts: Mapping[bytes, bytes]) -> Written | None:
    """What the sandbox program makes of `transaction`; None when that is for the VM to say."""
    message = transaction.message
    keys = [bytes(key) for key in message.account_keys]
    authority = sandbox_authority(accounts)
    if authority is None or (isinstance(message, MessageV0) and message.address_table_lookups):
        return None
    if not message.instructions or any(keys[one.program_id_index] != PROGRAM for one in message.instructions):
        return None
    fee = LAMPORTS_PER_SIGNATURE * message.header.num_required_signatures
    payer = accounts.get(keys[0], b"")
    if not records.can_pay(payer, fee):
        return Written('"InsufficientFundsForFee"')
    after_fee = {keys[0]: records.with_lamports(payer, records.lamports(payer) - fee)}
    # The instructions work on a copy of what they name: nothing of it counts unless all of them succeed.
    held = {key: accounts.get(key, b"") for key in keys} | after_fee
    logs: list[str] = []
    for place, one in enumerate(message.instructions):
        named = [keys[index] for index in bytes(one.accounts)]
        free = {key for index, key in enumerate(keys) if is_static_writable(message, index)} - RESERVED
        signed = set(keys[: message.header.num_required_signatures])
        fault = _fault(bytes(one.data), named, free, signed, authority) or _apply(bytes(one.data), named, held)
        logs.append(f"Program {_NAME} invoke [1]")
        if fault:
            logs.append(f"Program {_NAME} failed: {_LOG[fault]}")
            return Written(f'{{"InstructionError":[{place},"{fault}"]}}', logs, after_fee)
        logs.append(f"Program {_NAME} success")
    return Written(None, logs, {key: record for key, record in held.items() if record != accounts.get(key, b"")})


def _fault(data: bytes, named: list[bytes], free: set[bytes], signed: set[bytes], authority: bytes) -> str | None:
    """What is wrong with an instruction before it does anything; `free` are the accounts that it may write."""
    needs = _ACCOUNTS.get(data[0]) if len(data) >= _UNIQUE_END else None
    if needs is None:
        return "InvalidInstructionData"
    if len(named) < needs:
        return "NotEnoughAccountKeys"
    if named[0] != authority or authority not in signed or authority not in free:
        return "IncorrectAuthority"
    targets = named[1:needs]
    wrong = len(set(targets)) != len(targets) or authority in targets or PROGRAM in targets
    return "InvalidArgument" if wrong or not set(targets) <= free else None


def _apply(data: bytes, named: list[bytes], held: dict[bytes, bytes]) -> str | None:
    """Let an instruction change `held`; its error, if it has one."""
    tag, rest = data[0], data[_UNIQUE_END:]
    if tag == 0:
        return _wrong(rest, held) or _place(held, named[0], {named[1]: rest})
    if tag == 1:
        return _write(rest, named, held)
    if len(rest) != records.HEAD_BYTES:
        return "InvalidInstructionData"
    buffer = held[named[2]]
    if records.owner(buffer) != PROGRAM:
        return "InvalidArgument"
    record = rest + records.data(buffer)
    return _place(held, named[0], {named[2]: b""}) or _wrong(record, held) or _place(held, named[0], {named[1]: record})


def _write(rest: bytes, named: list[bytes], held: dict[bytes, bytes]) -> str | None:
    if len(rest) < _PIECE.size:
        return "InvalidInstructionData"
    total, offset = _PIECE.unpack_from(rest)
    piece, buffer = rest[_PIECE.size :], held[named[1]]
    if total == 0 or total > _MOST_BUFFER or offset + len(piece) > total:
        return "InvalidInstructionData"
    if not buffer:
        # One lamport, rent epoch 0, no program: the buffer as it begins, all zeros.
        buffer = (1).to_bytes(8, "little") + bytes(9) + PROGRAM + bytes(total)
    if records.owner(buffer) != PROGRAM or len(records.data(buffer)) != total:
        return "InvalidArgument"
    content = bytearray(records.data(buffer))
    content[offset : offset + len(piece)] = piece
    return _place(held, named[0], {named[1]: buffer[: records.HEAD_BYTES] + bytes(content)})


def _place(held: dict[bytes, bytes], authority: bytes, changes: Mapping[bytes, bytes]) -> str | None:
    """Put `changes` there; their lamports come from the authority and go back to it."""
    more = sum(records.lamports(record) - records.lamports(held[key]) for key, record in changes.items())
    left = records.lamports(held[authority]) - more
    if not held[authority] or left < records.EXEMPT_LAMPORTS:
        return "InsufficientFunds"
    held[authority] = records.with_lamports(held[authority], left)
    held.update(changes)
    return None


def _wrong(record: bytes, held: Mapping[bytes, bytes]) -> str | None:
    """Why it cannot become an account (b"" can: none); `held` has all that the transaction names."""
    if not record:
        return None
    size = len(record) - records.HEAD_BYTES
    if not 0 <= size <= _MOST_DATA or records.lamports(record) == 0 or record[16] not in (0, 1):
        return "InvalidInstructionData"
    if not records.is_executable(record) or records.owner(record) == _FINAL_LOADER:
        return None
    content = records.data(record)
    upgradeable = records.owner(record) == _UPGRADEABLE_LOADER and size == 36 and content[:4] == b"\2\0\0\0"
    return None if upgradeable and content[4:] in held else "InvalidArgument"
