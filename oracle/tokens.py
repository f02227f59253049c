"""Balances of SPL token accounts, as Solana's RPC tells them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from solders.pubkey import Pubkey

from oracle import records

_PROGRAMS = frozenset(
    bytes(Pubkey.from_string(text))
    for text in ("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
)
#: SPL Token's account: mint, owner, amount (u64 at 64), state (at 108); Token-2022 puts a type behind its 165 bytes.
_BYTES, _STATE, _TYPE_ACCOUNT = 165, 108, 2

Balance = tuple[int, bytes, bytes, int, bytes]


def balances(keys: Sequence[bytes], accounts: Mapping[bytes, bytes]) -> list[Balance]:
    """(place in the message, mint, owner, amount, program) of every initialised token account among `keys`."""
    found = []
    for place, key in enumerate(keys):
        record = accounts.get(key, b"")
        data, program = records.data(record), records.owner(record)
        if program not in _PROGRAMS or len(data) < _BYTES or data[_STATE] == 0:
            continue
        if len(data) > _BYTES and data[_BYTES] != _TYPE_ACCOUNT:
            continue
        found.append((place, data[:32], data[32:64], int.from_bytes(data[64:72], "little"), program))
    return found
