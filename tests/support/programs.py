"""Real programs to deploy, upgrade and close through the upgradeable loader, and the instructions that do it."""

from __future__ import annotations

from functools import cache

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account

from banking.execution.vm import bundled_programs
from banking.ledger.records import unpack_account

LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
RENT = Pubkey.from_string("SysvarRent111111111111111111111111111111111")
CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
SYSTEM = Pubkey.default()
#: A write fits into a packet with its signatures and keys.
_CHUNK = 900
_WORD = b"Signed by:"


@cache
def elf(word: bytes = _WORD) -> bytes:
    """The Memo program as an ELF; `word` (10 bytes) is what its log lines begin with."""
    (record,) = (record for key, record in bundled_programs() if key == bytes(MEMO))
    code = unpack_account(record).data
    assert code.count(_WORD) == 1
    assert len(word) == len(_WORD)
    return code.replace(_WORD, word)


def program_data(program: Pubkey) -> Pubkey:
    return Pubkey.find_program_address([bytes(program)], LOADER)[0]


def buffer_instructions(payer: Pubkey, buffer: Pubkey, code: bytes) -> list[list[Instruction]]:
    """Make `buffer` and fill it; each list fits into a transaction, the first is signed by `buffer`, too."""
    space = 37 + len(code)
    made = create_account(
        CreateAccountParams(from_pubkey=payer, to_pubkey=buffer, lamports=_rent(space), space=space, owner=LOADER)
    )
    metas = [AccountMeta(buffer, False, True), AccountMeta(payer, True, False)]
    groups = [[made, Instruction(LOADER, _tag(0), metas)]]
    for start in range(0, len(code), _CHUNK):
        part = code[start : start + _CHUNK]
        data = _tag(1) + start.to_bytes(4, "little") + len(part).to_bytes(8, "little") + part
        groups.append([Instruction(LOADER, data, metas)])
    return groups


def deploy_instructions(payer: Pubkey, program: Pubkey, buffer: Pubkey, most: int) -> list[Instruction]:
    """Make `program`, which signs, and deploy what `buffer` holds, with room for `most` bytes."""
    made = create_account(
        CreateAccountParams(from_pubkey=payer, to_pubkey=program, lamports=_rent(36), space=36, owner=LOADER)
    )
    metas = [
        AccountMeta(payer, True, True),
        AccountMeta(program_data(program), False, True),
        AccountMeta(program, False, True),
        AccountMeta(buffer, False, True),
        *(AccountMeta(key, False, False) for key in (RENT, CLOCK, SYSTEM)),
        AccountMeta(payer, True, False),
    ]
    return [made, Instruction(LOADER, _tag(2) + most.to_bytes(8, "little"), metas)]


def upgrade_instruction(authority: Pubkey, program: Pubkey, buffer: Pubkey) -> Instruction:
    """Put the code of `buffer` into `program`."""
    metas = [
        *(AccountMeta(key, False, True) for key in (program_data(program), program, buffer, authority)),
        *(AccountMeta(key, False, False) for key in (RENT, CLOCK)),
        AccountMeta(authority, True, False),
    ]
    return Instruction(LOADER, _tag(3), metas)


def close_instruction(authority: Pubkey, program: Pubkey) -> Instruction:
    """Close `program` for good; its lamports go to the authority."""
    metas = [
        AccountMeta(program_data(program), False, True),
        AccountMeta(authority, False, True),
        AccountMeta(authority, True, False),
        AccountMeta(program, False, True),
    ]
    return Instruction(LOADER, _tag(5), metas)


def call(program: Pubkey, signer: Pubkey, text: bytes | None = None) -> Instruction:
    """Let the program write a memo (of its own, without `text`)."""
    return Instruction(program, text or str(Keypair().pubkey()).encode(), [AccountMeta(signer, True, False)])


def _tag(number: int) -> bytes:
    return number.to_bytes(4, "little")


def _rent(space: int) -> int:
    return (128 + space) * 6960
