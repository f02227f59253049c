"""Accounts by address."""

from __future__ import annotations

import asyncio
from typing import Any

from banking.records import lamports_of
from rpc.encoding.accounts import AccountEncoding
from rpc.mints import decimals_of, mints_in
from rpc.params import to_pubkey
from rpc.registry import Call, method
from rpc.view import records_at, require_slot, with_context

_MOST_ACCOUNTS = 100
_ENCODED_TOGETHER = 500


@method("getBalance")
async def get_balance(call: Call) -> Any:
    key, config = call.params.pubkey(0), call.params.config(1)
    slot, (record,) = await records_at(call.services, [bytes(key)], config.commitment())
    require_slot(slot, config)
    return with_context(lamports_of(record), slot)


@method("getAccountInfo")
async def get_account_info(call: Call) -> Any:
    key, config = bytes(call.params.pubkey(0)), call.params.config(1)
    encoding = AccountEncoding.of(config)
    slot, records = await records_at(call.services, [key], config.commitment())
    require_slot(slot, config)
    (value,) = await encode_all(call, encoding, [key], records)
    return with_context(value, slot)


@method("getMultipleAccounts")
async def get_multiple_accounts(call: Call) -> Any:
    keys = [bytes(to_pubkey(value)) for value in call.params.items(0, _MOST_ACCOUNTS)]
    config = call.params.config(1)
    encoding = AccountEncoding.of(config, default="base64")
    slot, records = await records_at(call.services, keys, config.commitment())
    require_slot(slot, config)
    return with_context(await encode_all(call, encoding, keys, records), slot)


async def encode_all(
    call: Call, encoding: AccountEncoding, keys: list[bytes], records: list[bytes]
) -> list[dict[str, Any] | None]:
    """Encoded accounts, None for those that are absent."""
    decimals = await decimals_of(call.services, mints_in(records)) if encoding.parsed else {}
    values: list[dict[str, Any] | None] = []
    for key, record in zip(keys, records, strict=True):
        values.append(encoding.encode(key, record, decimals) if record else None)
        if not len(values) % _ENCODED_TOGETHER:
            # A long list must not hold up everybody else.
            await asyncio.sleep(0)
    return values
