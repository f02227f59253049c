"""Accounts as JSON, for the programs that Solana's RPC knows how to read. Source: Agave's `account-decoder`."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from solders.pubkey import Pubkey

from banking.execution.native import ADDRESS_LOOKUP_TABLE, UPGRADEABLE_LOADER
from banking.ledger.records import AccountView
from rpc.encoding.token_layout import (
    MULTISIG_BYTES,
    TOKEN_PROGRAMS,
    is_mint,
    is_token_account,
    read_mint,
    read_token_account,
    token_amount,
)

_SYSTEM = bytes(32)
_SYSVAR = bytes(Pubkey.from_string("Sysvar1111111111111111111111111111111111111"))
_NONCE_BYTES = 80
_TABLE_METADATA_BYTES = 56
_U64_MAX = 2**64 - 1


def text(key: bytes) -> str:
    """A public key in base58."""
    return str(Pubkey(key))


def optional_text(key: bytes | None) -> str | None:
    return None if key is None else text(key)


def parse_account(key: bytes, record: bytes, view: AccountView, decimals: Mapping[bytes, int]) -> dict[str, Any] | None:
    """`{"program", "parsed", "space"}`, or None when the account is not of a known kind."""
    program = TOKEN_PROGRAMS.get(view.owner)
    parsed: dict[str, Any] | None
    if program is not None:
        parsed = _parse_token(record, view.data, decimals)
    else:
        named = _PARSERS.get(view.owner)
        if named is None:
            return None
        program, parse = named
        parsed = parse(key, view.data)
    return None if parsed is None else {"program": program, "parsed": parsed, "space": len(view.data)}


def _parse_token(record: bytes, data: bytes, decimals: Mapping[bytes, int]) -> dict[str, Any] | None:
    if is_token_account(record):
        account = read_token_account(data)
        places = decimals.get(account.mint)
        if places is None:
            return None
        info: dict[str, Any] = {
            "mint": text(account.mint),
            "owner": text(account.owner),
            "tokenAmount": token_amount(account.amount, places),
            "state": account.state,
            "isNative": account.native_reserve is not None,
        }
        if account.delegate is not None:
            info["delegate"] = text(account.delegate)
            info["delegatedAmount"] = token_amount(account.delegated_amount, places)
        if account.native_reserve is not None:
            info["rentExemptReserve"] = token_amount(account.native_reserve, places)
        if account.close_authority is not None:
            info["closeAuthority"] = text(account.close_authority)
        return {"type": "account", "info": info}
    if is_mint(record):
        mint = read_mint(data)
        return {
            "type": "mint",
            "info": {
                "mintAuthority": optional_text(mint.authority),
                "supply": str(mint.supply),
                "decimals": mint.decimals,
                "isInitialized": mint.initialized,
                "freezeAuthority": optional_text(mint.freeze_authority),
            },
        }
    if len(data) == MULTISIG_BYTES:
        signers = [data[at : at + 32] for at in range(3, 3 + 32 * min(data[1], 11), 32)]
        return {
            "type": "multisig",
            "info": {
                "numRequiredSigners": data[0],
                "numValidSigners": data[1],
                "isInitialized": bool(data[2]),
                "signers": [text(signer) for signer in signers],
            },
        }
    return None


def _parse_nonce(_: bytes, data: bytes) -> dict[str, Any] | None:
    # Version u32, state u32, authority, blockhash, lamports per signature u64.
    if len(data) != _NONCE_BYTES or data[:4] != b"\x01\x00\x00\x00":
        return None
    if data[4:8] == bytes(4):
        return {"type": "uninitialized"}
    return {
        "type": "initialized",
        "info": {
            "authority": text(data[8:40]),
            "blockhash": text(data[40:72]),
            "feeCalculator": {"lamportsPerSignature": str(int.from_bytes(data[72:80], "little"))},
        },
    }


def _parse_lookup_table(_: bytes, data: bytes) -> dict[str, Any] | None:
    if len(data) < _TABLE_METADATA_BYTES or data[:4] != b"\x01\x00\x00\x00":
        return {"type": "uninitialized"} if data[:4] == bytes(4) else None
    info: dict[str, Any] = {
        "deactivationSlot": str(int.from_bytes(data[4:12], "little")),
        "lastExtendedSlot": str(int.from_bytes(data[12:20], "little")),
        "lastExtendedSlotStartIndex": data[20],
        "addresses": [text(data[at : at + 32]) for at in range(_TABLE_METADATA_BYTES, len(data) - 31, 32)],
    }
    if data[21]:
        info["authority"] = text(data[22:54])
    return {"type": "lookupTable", "info": info}


def _parse_loader(_: bytes, data: bytes) -> dict[str, Any] | None:
    match int.from_bytes(data[:4], "little") if len(data) >= 4 else 0:
        case 1:
            authority = text(data[5:37]) if data[4:5] == b"\x01" else None
            return {"type": "buffer", "info": {"authority": authority, "data": ["", "base64"]}}
        case 2 if len(data) >= 36:
            return {"type": "program", "info": {"programData": text(data[4:36])}}
        case 3 if len(data) >= 45:
            return {
                "type": "programData",
                "info": {
                    "slot": int.from_bytes(data[4:12], "little"),
                    "authority": text(data[13:45]) if data[12] else None,
                    "data": ["", "base64"],
                },
            }
        case _:
            return {"type": "uninitialized"}


def _parse_sysvar(key: bytes, data: bytes) -> dict[str, Any] | None:
    match text(key):
        case "SysvarC1ock11111111111111111111111111111111":
            numbers = [int.from_bytes(data[at : at + 8], "little", signed=True) for at in range(0, 40, 8)]
            names = ("slot", "epochStartTimestamp", "epoch", "leaderScheduleEpoch", "unixTimestamp")
            return {"type": "clock", "info": dict(zip(names, numbers, strict=True))}
        case "SysvarRent111111111111111111111111111111111":
            return {
                "type": "rent",
                "info": {
                    "lamportsPerByteYear": str(int.from_bytes(data[:8], "little")),
                    "exemptionThreshold": struct.unpack_from("<d", data, 8)[0],
                    "burnPercent": data[16],
                },
            }
        case _:
            return None


_PARSERS: dict[bytes, tuple[str, Callable[[bytes, bytes], dict[str, Any] | None]]] = {
    _SYSTEM: ("nonce", _parse_nonce),
    bytes(ADDRESS_LOOKUP_TABLE): ("address-lookup-table", _parse_lookup_table),
    bytes(UPGRADEABLE_LOADER): ("bpf-upgradeable-loader", _parse_loader),
    _SYSVAR: ("sysvar", _parse_sysvar),
}
