"""Accounts in the JSON of the Solana tools (`solana account --output json`): for a ledger's first block."""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import Any

import base58
import zstandard
from solders.account import Account
from solders.pubkey import Pubkey

from banking.ledger.records import pack_account
from config.errors import TrunklineError

#: Solana's most for the data of one account (bytes).
MAX_DATA_BYTES = 10 * 1024 * 1024


class BadAccount(TrunklineError):
    """The JSON is no account in the format of the Solana tools."""


def read_account_dir(folder: Path) -> dict[bytes, bytes]:
    """Key to record of every `*.json` in `folder`. Raises BadAccount naming the file, also when there is none."""
    files = sorted(folder.glob("*.json"))
    if not files:
        raise BadAccount(f"There is no account file (*.json) in {folder}.")
    accounts: dict[bytes, bytes] = {}
    for path in files:
        key, record = read_account_file(path)
        if key in accounts:
            raise BadAccount(f"{path}: the account {Pubkey(key)} is in another file of this folder already.")
        accounts[key] = record
    return accounts


def read_account_file(path: Path) -> tuple[bytes, bytes]:
    """Key and record. Raises BadAccount."""
    try:
        value = json.loads(path.read_bytes())
        return account_from_json(value["pubkey"], value["account"])
    except (OSError, ValueError, KeyError, TypeError, BadAccount) as error:
        raise BadAccount(f"{path} is no account file of the Solana tools: {error}") from error


def account_from_json(pubkey: str, account: dict[str, Any]) -> tuple[bytes, bytes]:
    """Key and record of an account as the RPC shows it (base58, base64 or base64+zstd). Raises BadAccount."""
    try:
        lamports, rent_epoch = account["lamports"], account.get("rentEpoch", 0)
        if not (isinstance(lamports, int) and 0 < lamports < 2**63 and isinstance(rent_epoch, int)):
            raise BadAccount(f"{lamports!r} lamports, rent epoch {rent_epoch!r}")
        made = Account(
            lamports=lamports,
            data=_data(account["data"]),
            owner=Pubkey.from_string(account["owner"]),
            executable=bool(account["executable"]),
            # Old tools wrote it as a float; only "never" and small numbers exist.
            rent_epoch=min(rent_epoch, 2**64 - 1),
        )
        return bytes(Pubkey.from_string(pubkey)), pack_account(made)
    except (ValueError, KeyError, TypeError, binascii.Error, zstandard.ZstdError, OverflowError) as error:
        raise BadAccount(f"the account {pubkey!r} cannot be read: {error!r}") from error


def _data(value: Any) -> bytes:
    text, encoding = value
    match encoding:
        case "base64":
            data = base64.b64decode(text, validate=True)
        case "base58":
            data = base58.b58decode(text)
        case "base64+zstd":
            packed = base64.b64decode(text, validate=True)
            data = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
        case _:
            raise BadAccount(f"its data is in {encoding!r}; base58, base64 and base64+zstd are known")
    if len(data) > MAX_DATA_BYTES:
        raise BadAccount(f"its data has {len(data)} bytes, at most {MAX_DATA_BYTES} are possible")
    return bytes(data)
