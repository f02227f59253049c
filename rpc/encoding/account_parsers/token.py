"""Mints, token accounts and multisigs of both token programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from solders.pubkey import Pubkey

from rpc.encoding.instruction import Unparsable
from rpc.encoding.token_extensions import extensions_in
from rpc.encoding.token_layout import (
    MULTISIG_BYTES,
    is_mint,
    is_token_account,
    read_mint,
    read_token_account,
    token_amount,
)


def parse_token_record(record: bytes, data: bytes, decimals: Mapping[bytes, int]) -> dict[str, Any]:
    """`decimals` are those of the mints, by mint. Raises Unparsable, also when the mint's are not known."""
    if is_token_account(record):
        return {"type": "account", "info": _account(data, decimals) | _extensions(data)}
    if is_mint(record):
        return {"type": "mint", "info": _mint(data) | _extensions(data)}
    if len(data) == MULTISIG_BYTES:
        return {"type": "multisig", "info": _multisig(data)}
    raise Unparsable


def _account(data: bytes, decimals: Mapping[bytes, int]) -> dict[str, Any]:
    account = read_token_account(data)
    places = decimals.get(account.mint)
    if places is None:
        raise Unparsable
    info: dict[str, Any] = {
        "mint": _text(account.mint),
        "owner": _text(account.owner),
        "tokenAmount": token_amount(account.amount, places),
        "state": account.state,
        "isNative": account.native_reserve is not None,
    }
    if account.delegate is not None:
        info["delegate"] = _text(account.delegate)
        info["delegatedAmount"] = token_amount(account.delegated_amount, places)
    if account.native_reserve is not None:
        info["rentExemptReserve"] = token_amount(account.native_reserve, places)
    if account.close_authority is not None:
        info["closeAuthority"] = _text(account.close_authority)
    return info


def _mint(data: bytes) -> dict[str, Any]:
    mint = read_mint(data)
    return {
        "mintAuthority": _text(mint.authority),
        "supply": str(mint.supply),
        "decimals": mint.decimals,
        "isInitialized": mint.initialized,
        "freezeAuthority": _text(mint.freeze_authority),
    }


def _multisig(data: bytes) -> dict[str, Any]:
    signers = [data[at : at + 32] for at in range(3, 3 + 32 * min(data[1], 11), 32)]
    return {
        "numRequiredSigners": data[0],
        "numValidSigners": data[1],
        "isInitialized": bool(data[2]),
        "signers": [_text(signer) for signer in signers],
    }


def _extensions(data: bytes) -> dict[str, Any]:
    found = extensions_in(data)
    return {"extensions": found} if found else {}


def _text(key: bytes | None) -> str | None:
    return None if key is None else str(Pubkey(key))
