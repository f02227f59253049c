"""Programs from ELF files, for a ledger's first block."""

from __future__ import annotations

from pathlib import Path

from solders.account import Account
from solders.pubkey import Pubkey
from solders.solders import LiteSVM

from banking.ledger.records import pack_account
from config.errors import TrunklineError

_LOADER = Pubkey.from_string("BPFLoader2111111111111111111111111111111111")
#: What a byte is worth in two years of rent (lamports), and the bytes that an account has beside its data.
_LAMPORTS_A_BYTE = 6_960
_ACCOUNT_BYTES = 128


class BadProgram(TrunklineError):
    """The file is no program that the VM runs."""


def read_program(address: Pubkey, path: Path) -> tuple[bytes, bytes]:
    """Key and record of the program in the ELF `path`, which nobody can upgrade. Raises BadProgram, OSError."""
    code = path.read_bytes()
    if code[:4] != b"\x7fELF":
        raise BadProgram(f"{path} is no program: it does not begin as an ELF file does.")
    try:
        LiteSVM().add_program(address, code)
    except Exception as error:
        if type(error).__name__ != "LiteSVMError":
            raise
        raise BadProgram(f"{path} is no program that the VM takes: {error}") from error
    lamports = (_ACCOUNT_BYTES + len(code)) * _LAMPORTS_A_BYTE
    return bytes(address), pack_account(Account(lamports, code, _LOADER, executable=True))
