"""Programs from ELF files, for a ledger's first block."""

from __future__ import annotations

from pathlib import Path

from solders.account import Account
from solders.pubkey import Pubkey
from solders.solders import LiteSVM

from banking.admin.set_account import rent_exempt
from banking.ledger.records import pack_account
from config.errors import TrunklineError

_LOADER = Pubkey.from_string("BPFLoader2111111111111111111111111111111111")


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
    return bytes(address), pack_account(Account(rent_exempt(len(code)), code, _LOADER, executable=True))
