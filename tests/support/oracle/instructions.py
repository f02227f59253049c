"""Instructions that solders does not build: tokens, memos, programs of the upgradeable loader."""

from __future__ import annotations

from collections.abc import Sequence

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

SYSTEM = Pubkey.default()
TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022 = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
ATA = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
RENT = Pubkey.from_string("SysvarRent111111111111111111111111111111111")
CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
SLOT_HASHES = Pubkey.from_string("SysvarS1otHashes111111111111111111111111111")
SLOT_HISTORY = Pubkey.from_string("SysvarS1otHistory11111111111111111111111111")
RECENT_BLOCKHASHES = Pubkey.from_string("SysvarRecentB1ockHashes11111111111111111111")
EPOCH_SCHEDULE = Pubkey.from_string("SysvarEpochSchedu1e111111111111111111111111")
STAKE_HISTORY = Pubkey.from_string("SysvarStakeHistory1111111111111111111111111")
FEATURE = Pubkey.from_string("Feature111111111111111111111111111111111111")
SYSVARS = [CLOCK, SLOT_HASHES, SLOT_HISTORY, RECENT_BLOCKHASHES, EPOCH_SCHEDULE, RENT, STAKE_HISTORY]
RESERVED = [*SYSVARS, SYSTEM, LOADER, FEATURE, Pubkey.from_string("ComputeBudget111111111111111111111111111111")]
MINT_BYTES = 82


def rent(space: int) -> int:
    """Lamports that exempt an account from rent."""
    return (128 + space) * 6_960


def call(program: Pubkey, data: bytes, *accounts: tuple[Pubkey, str]) -> Instruction:
    """Beside each account its flags: s signer, w writable."""
    return Instruction(program, data, [AccountMeta(key, "s" in flags, "w" in flags) for key, flags in accounts])


def memo(text: str, signer: Pubkey) -> Instruction:
    return call(MEMO, text.encode(), (signer, "s"))


# ---- tokens


def initialize_mint(program: Pubkey, mint: Pubkey, authority: Pubkey) -> Instruction:
    return call(program, b"\x14\x06" + bytes(authority) + b"\x00", (mint, "w"))


def token_address(program: Pubkey, mint: Pubkey, owner: Pubkey) -> Pubkey:
    return Pubkey.find_program_address([bytes(owner), bytes(program), bytes(mint)], ATA)[0]


def create_token_account(program: Pubkey, mint: Pubkey, owner: Pubkey, payer: Pubkey) -> Instruction:
    """Idempotent: fine when it is there already."""
    account = token_address(program, mint, owner)
    return call(ATA, b"\x01", (payer, "sw"), (account, "w"), (owner, ""), (mint, ""), (SYSTEM, ""), (program, ""))


def mint_to(program: Pubkey, mint: Pubkey, account: Pubkey, authority: Pubkey, amount: int) -> Instruction:
    return call(program, b"\x07" + amount.to_bytes(8, "little"), (mint, "w"), (account, "w"), (authority, "s"))


def move_tokens(program: Pubkey, source: Pubkey, target: Pubkey, owner: Pubkey, amount: int) -> Instruction:
    return call(program, b"\x03" + amount.to_bytes(8, "little"), (source, "w"), (target, "w"), (owner, "s"))


def burn_tokens(program: Pubkey, account: Pubkey, mint: Pubkey, owner: Pubkey, amount: int) -> Instruction:
    return call(program, b"\x08" + amount.to_bytes(8, "little"), (account, "w"), (mint, "w"), (owner, "s"))


def close_token_account(program: Pubkey, account: Pubkey, owner: Pubkey) -> Instruction:
    return call(program, b"\x09", (account, "w"), (owner, "w"), (owner, "s"))


# ---- programs


def program_data(program: Pubkey) -> Pubkey:
    return Pubkey.find_program_address([bytes(program)], LOADER)[0]


def write_buffer(buffer: Pubkey, authority: Pubkey, code: bytes, offset: int = 0) -> Sequence[Instruction]:
    head = (1).to_bytes(4, "little") + offset.to_bytes(4, "little") + len(code).to_bytes(8, "little")
    return [call(LOADER, head + code, (buffer, "w"), (authority, "s"))]


def initialize_buffer(buffer: Pubkey, authority: Pubkey) -> Instruction:
    return call(LOADER, (0).to_bytes(4, "little"), (buffer, "w"), (authority, ""))


def deploy(program: Pubkey, buffer: Pubkey, authority: Pubkey, space: int) -> Instruction:
    data = (2).to_bytes(4, "little") + space.to_bytes(8, "little")
    data_account = program_data(program)
    return call(
        LOADER, data, (authority, "sw"), (data_account, "w"), (program, "w"), (buffer, "w"), (RENT, ""), (CLOCK, ""),
        (SYSTEM, ""), (authority, "s"),
    )  # fmt: skip


def upgrade(program: Pubkey, buffer: Pubkey, authority: Pubkey) -> Instruction:
    data_account = program_data(program)
    return call(
        LOADER, (3).to_bytes(4, "little"), (data_account, "w"), (program, "w"), (buffer, "w"), (authority, "w"),
        (RENT, ""), (CLOCK, ""), (authority, "s"),
    )  # fmt: skip


def close_program(program: Pubkey, authority: Pubkey) -> Instruction:
    return call(
        LOADER,
        (5).to_bytes(4, "little"),
        (program_data(program), "w"),
        (authority, "w"),
        (authority, "s"),
        (program, "w"),
    )
