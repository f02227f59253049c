"""Setting an account by hand: the transactions of the sandbox program that do it, signed by the operator's key."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from solders.account import Account
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from banking.execution.account_access import program_data_key
from banking.execution.sandbox_program import (
    MAX_BUFFER_BYTES,
    SANDBOX_PROGRAM,
    SET,
    SET_FROM_BUFFER,
    WRITE,
    authority_in,
)
from banking.ledger.records import HEADER_SIZE, AccountView, pack_account, unpack_account
from config.errors import TrunklineError

#: What is left of a packet for a record, and for a piece of one (bytes).
_MAX_RECORD_BYTES, _PIECE_BYTES = 1_000, 1_000


#: What a byte is worth in two years of rent (lamports), and the bytes that an account has beside its data.
_LAMPORTS_A_BYTE, _ACCOUNT_BYTES = 6_960, 128


class SetRefused(TrunklineError):
    """The account cannot be set: the ledger or the account is not of the kind."""


@dataclass(frozen=True, slots=True)
class AccountUpdate:
    """What an account is to have; None leaves it as it is. A new one belongs to the System program."""

    lamports: int | None = None
    owner: bytes | None = None
    executable: bool | None = None
    rent_epoch: int | None = None
    data: bytes | None = None

    def apply(self, record: bytes) -> bytes:
        """The record after the update; b"" for an account without lamports.

        A new account gets what exempts it from rent, unless `lamports` says otherwise.
        """
        view = unpack_account(record) if record else AccountView(0, 0, False, bytes(32), b"")
        data = view.data if self.data is None else self.data
        lamports = view.lamports if record else rent_exempt(len(data))
        if self.lamports is not None:
            lamports = self.lamports
        if not lamports:
            return b""
        account = Account(
            lamports=lamports,
            data=data,
            owner=Pubkey(view.owner if self.owner is None else self.owner),
            executable=view.executable if self.executable is None else self.executable,
            rent_epoch=view.rent_epoch if self.rent_epoch is None else self.rent_epoch,
        )
        return pack_account(account)


def rent_exempt(data_bytes: int) -> int:
    """The lamports that exempt an account with so many bytes of data from rent."""
    return (_ACCOUNT_BYTES + data_bytes) * _LAMPORTS_A_BYTE


@dataclass(frozen=True, slots=True)
class AccountSetting:
    """Signed transactions: `pieces` in any order, and `last` once all of them are processed."""

    pieces: Sequence[bytes]
    last: bytes


def check_authority(record: bytes, authority: Pubkey) -> None:
    """Raises SetRefused unless `record`, the sandbox program's account, lets `authority` set accounts."""
    allowed = authority_in(record)
    if allowed is None:
        raise SetRefused(
            "Accounts of this ledger cannot be set by hand: its genesis does not allow it. A ledger that is made "
            "in the profile dev or staging does."
        )
    if allowed != bytes(authority):
        raise SetRefused(f"Only {Pubkey(allowed)} may set accounts of this ledger, and {authority} is the key here.")


def set_account(authority: Keypair, key: Pubkey, record: bytes, blockhash: Hash) -> AccountSetting:
    """What makes `record` the account `key` (b"": removes it); its lamports come from `authority`, and go back to it.

    Raises SetRefused when the record is too large.
    """
    if len(record) <= _MAX_RECORD_BYTES:
        return AccountSetting((), _signed(authority, (key,), _head(SET) + record, blockhash, program_data_key(record)))
    head, data = record[:HEADER_SIZE], record[HEADER_SIZE:]
    if len(data) > MAX_BUFFER_BYTES:
        raise SetRefused(
            f"{len(data):,} bytes of data are too many to set by hand, at most {MAX_BUFFER_BYTES:,}; a genesis takes "
            "more (`trunkline init --account-dir`)."
        )
    buffer, total = Pubkey(os.urandom(32)), len(data).to_bytes(4, "little")
    pieces = [
        _signed(
            authority,
            (buffer,),
            _head(WRITE) + total + offset.to_bytes(4, "little") + data[offset : offset + _PIECE_BYTES],
            blockhash,
        )
        for offset in range(0, len(data), _PIECE_BYTES)
    ]
    return AccountSetting(pieces, _signed(authority, (key, buffer), _head(SET_FROM_BUFFER) + head, blockhash))


def _head(tag: int) -> bytes:
    # Setting the same again is not the same transaction.
    return bytes([tag]) + os.urandom(8)


def _signed(
    authority: Keypair, targets: Sequence[Pubkey], data: bytes, blockhash: Hash, named: bytes | None = None
) -> bytes:
    payer = authority.pubkey()
    metas = [AccountMeta(payer, is_signer=True, is_writable=True)]
    metas += [AccountMeta(target, is_signer=False, is_writable=True) for target in targets]
    if named is not None:
        metas.append(AccountMeta(Pubkey(named), is_signer=False, is_writable=False))
    message = Message.new_with_blockhash([Instruction(SANDBOX_PROGRAM, data, metas)], payer, blockhash)
    return bytes(VersionedTransaction(message, [authority]))
