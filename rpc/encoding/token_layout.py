"""The layouts of SPL Token and Token-2022 mints and accounts, as far as the RPC reads them.

Source: `spl_token::state` and `spl_token_2022::extension`: an account is 165 bytes and a mint 82; Token-2022 pads a
mint to 165, appends one byte for the type of account, then extensions.
"""

from __future__ import annotations

from dataclasses import dataclass

from solders.pubkey import Pubkey

from banking.ledger.records import HEADER_SIZE, OWNER_AT

TOKEN_PROGRAM = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022_PROGRAM = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
NATIVE_MINT = Pubkey.from_string("So11111111111111111111111111111111111111112")
TOKEN_PROGRAMS = {bytes(TOKEN_PROGRAM): "spl-token", bytes(TOKEN_2022_PROGRAM): "spl-token-2022"}

ACCOUNT_BYTES = 165
MINT_BYTES = 82
MULTISIG_BYTES = 355
_TYPE_AT = 165
_MINT_TYPE = 1
_ACCOUNT_TYPE = 2
_STATE_AT = 108
_STATES = ("uninitialized", "initialized", "frozen")


@dataclass(frozen=True, slots=True)
class Mint:
    """A mint; `supply` is in its smallest unit."""

    authority: bytes | None
    supply: int
    decimals: int
    initialized: bool
    freeze_authority: bytes | None


@dataclass(frozen=True, slots=True)
class TokenAccount:
    """A token account; amounts are in the mint's smallest unit, `native_reserve` in lamports."""

    mint: bytes
    owner: bytes
    amount: int
    delegate: bytes | None
    state: str
    native_reserve: int | None
    delegated_amount: int
    close_authority: bytes | None


def is_token_account(record: bytes) -> bool:
    """Whether an account record is an initialized SPL token account."""
    size = len(record) - HEADER_SIZE
    if size < ACCOUNT_BYTES or record[OWNER_AT:HEADER_SIZE] not in TOKEN_PROGRAMS:
        return False
    if not record[HEADER_SIZE + _STATE_AT] or size == MULTISIG_BYTES:
        return False
    return size == ACCOUNT_BYTES or record[HEADER_SIZE + _TYPE_AT] == _ACCOUNT_TYPE


def is_mint(record: bytes) -> bool:
    """Whether an account record is an initialized mint."""
    size = len(record) - HEADER_SIZE
    if record[OWNER_AT:HEADER_SIZE] not in TOKEN_PROGRAMS or size < MINT_BYTES:
        return False
    if size != MINT_BYTES and (size <= _TYPE_AT or record[HEADER_SIZE + _TYPE_AT] != _MINT_TYPE):
        return False
    return bool(record[HEADER_SIZE + 45])


def delegate_of(data: bytes) -> bytes | None:
    """The delegate in a token account's data."""
    return _option(data, 72)


def read_mint(data: bytes) -> Mint:
    """Read the data of a mint."""
    return Mint(
        authority=_option(data, 0),
        supply=int.from_bytes(data[36:44], "little"),
        decimals=data[44],
        initialized=bool(data[45]),
        freeze_authority=_option(data, 46),
    )


def read_token_account(data: bytes) -> TokenAccount:
    """Read the data of a token account."""
    native = int.from_bytes(data[113:121], "little") if data[109:113] != bytes(4) else None
    return TokenAccount(
        mint=data[:32],
        owner=data[32:64],
        amount=int.from_bytes(data[64:72], "little"),
        delegate=_option(data, 72),
        state=_STATES[min(data[_STATE_AT], 2)],
        native_reserve=native,
        delegated_amount=int.from_bytes(data[121:129], "little"),
        close_authority=_option(data, 129),
    )


def _option(data: bytes, at: int) -> bytes | None:
    # A COption: four bytes of tag, then the value, there or not.
    return data[at + 4 : at + 36] if data[at : at + 4] != bytes(4) else None


def token_amount(amount: int, decimals: int) -> dict[str, object]:
    """A `UiTokenAmount`; the text is exact, the float is what it is."""
    if decimals:
        digits = str(amount).rjust(decimals + 1, "0")
        text = f"{digits[:-decimals]}.{digits[-decimals:]}".rstrip("0").rstrip(".")
    else:
        text = str(amount)
    return {
        "amount": str(amount),
        "decimals": decimals,
        "uiAmount": amount / 10**decimals,
        "uiAmountString": text,
    }
