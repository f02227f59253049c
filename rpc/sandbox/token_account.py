"""A token account set by hand: the associated account of an owner and a mint."""

from __future__ import annotations

from solders.account import Account
from solders.pubkey import Pubkey

from banking.admin.set_account import rent_exempt
from banking.ledger.records import pack_account, unpack_account
from rpc.encoding.token_layout import ACCOUNT_BYTES, NATIVE_MINT, TOKEN_2022_PROGRAM, is_token_account
from rpc.jsonrpc.errors import invalid_params
from rpc.jsonrpc.params import Config, to_pubkey

_ASSOCIATED_TOKEN = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
_STATES = {"uninitialized": 0, "initialized": 1, "frozen": 2}
_STATE_AT = 108
#: The account's type, and the extension that every associated account of Token-2022 has: its owner never changes.
_TOKEN_2022_TAIL = b"\x02\x07\x00\x00\x00"
_SOME = (1).to_bytes(4, "little")


def associated_address(owner: Pubkey, mint: Pubkey, program: Pubkey) -> Pubkey:
    """Where the token account of `owner` for `mint` stands."""
    seeds = [bytes(owner), bytes(program), bytes(mint)]
    return Pubkey.find_program_address(seeds, _ASSOCIATED_TOKEN)[0]


def updated_token_account(record: bytes, owner: Pubkey, mint: Pubkey, program: Pubkey, config: Config) -> bytes:
    """The record with the members of `config` set: amount, delegate, state, delegatedAmount, closeAuthority.

    A new one (`record` b"") is initialized and empty. The supply of the mint stays as it is. Raises -32602.
    """
    data = bytearray(_data_of(record, owner, mint, program))
    amount = config.uint("amount")
    if amount is not None:
        data[64:72] = amount.to_bytes(8, "little")
    _set_key(data, 72, config.text("delegate"))
    state = config.text("state")
    if state is not None:
        if state not in _STATES:
            raise invalid_params(f"Invalid param: unknown state {state[:64]!r}, expected one of {', '.join(_STATES)}")
        data[_STATE_AT] = _STATES[state]
    delegated = config.uint("delegatedAmount")
    if delegated is not None:
        data[121:129] = delegated.to_bytes(8, "little")
    _set_key(data, 129, config.text("closeAuthority"))
    lamports = unpack_account(record).lamports if record else rent_exempt(len(data))
    if mint == NATIVE_MINT:
        # Wrapped SOL is lamports: as many as the amount says, above what exempts it from rent.
        reserve = rent_exempt(len(data))
        data[109:121] = _SOME + reserve.to_bytes(8, "little")
        lamports = reserve + int.from_bytes(data[64:72], "little")
    return pack_account(Account(lamports=lamports, data=bytes(data), owner=program, executable=False))


def _data_of(record: bytes, owner: Pubkey, mint: Pubkey, program: Pubkey) -> bytes:
    if not record:
        begin = bytes(mint) + bytes(owner)
        data = begin.ljust(_STATE_AT, b"\0") + b"\1"
        return data.ljust(ACCOUNT_BYTES, b"\0") + (_TOKEN_2022_TAIL if program == TOKEN_2022_PROGRAM else b"")
    if not is_token_account(record):
        raise invalid_params("Invalid param: the associated address holds something else")
    return unpack_account(record).data


def _set_key(data: bytearray, at: int, text: str | None) -> None:
    """A COption of a key: tag and value. The text "null" takes it away."""
    if text is not None:
        data[at : at + 36] = bytes(36) if text == "null" else _SOME + bytes(to_pubkey(text))
