"""Accounts by address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from solders.pubkey import Pubkey

from banking.ledger.records import lamports_of
from rpc.encoding.accounts import AccountEncoding
from rpc.jsonrpc.params import to_pubkey
from rpc.jsonrpc.registry import Call, method
from rpc.ledger_access.mints import mints_in
from rpc.methods.account_search import Page
from rpc.methods.account_view import records_at, require_slot, with_context

_MAX_ACCOUNTS = 100
_ENCODED_TOGETHER = 500

#: What an account in a list costs beside itself.
_NAME_BYTES = 80

_encoder = msgspec.json.Encoder()


@method("getBalance")
async def get_balance(call: Call) -> Any:
    key, config = call.params.pubkey(0), call.params.config(1)
    slot, (record,) = await records_at(call, [bytes(key)], config.commitment())
    require_slot(slot, config)
    return with_context(lamports_of(record), slot)


@method("getAccountInfo")
async def get_account_info(call: Call) -> Any:
    key, config = bytes(call.params.pubkey(0)), call.params.config(1)
    encoding = AccountEncoding.of(config)
    slot, records = await records_at(call, [key], config.commitment())
    require_slot(slot, config)
    (value,) = await encode_all(call, encoding, [key], records)
    return with_context(value, slot)


@method("getMultipleAccounts")
async def get_multiple_accounts(call: Call) -> Any:
    keys = [bytes(to_pubkey(value)) for value in call.params.items(0, _MAX_ACCOUNTS)]
    config = call.params.config(1)
    encoding = AccountEncoding.of(config, default="base64")
    slot, records = await records_at(call, keys, config.commitment())
    require_slot(slot, config)
    return with_context(await encode_all(call, encoding, keys, records), slot)


async def encode_all(
    call: Call, encoding: AccountEncoding, keys: list[bytes], records: list[bytes]
) -> list[msgspec.Raw | None]:
    """Accounts as JSON, None for those that are absent. Raises RpcError when they are more than an answer may hold."""
    decimals = await call.context.ledger.decimals.of(mints_in(records)) if encoding.parsed else {}
    made: dict[bytes, msgspec.Raw] = {}
    values: list[msgspec.Raw | None] = []
    for key, record in zip(keys, records, strict=True):
        value = made.get(key)
        if value is None and record:
            value = made[key] = msgspec.Raw(_encoder.encode(encoding.encode(key, record, decimals)))
        if value is not None:
            call.budget.make(len(value))
        values.append(value)
        if not len(values) % _ENCODED_TOGETHER:
            # A long list must not hold up other requests.
            await asyncio.sleep(0)
    return values


async def list_all(
    call: Call, encoding: AccountEncoding, pages: AsyncIterator[Page]
) -> tuple[int, list[dict[str, Any]]]:
    """The slot, and `{pubkey, account}` of every account in `pages`."""
    slot, listed = 0, []
    async for page in pages:
        slot = page.slot
        values = await encode_all(call, encoding, page.keys, page.records)
        call.budget.make(_NAME_BYTES * len(values))
        listed += [{"pubkey": str(Pubkey(key)), "account": value} for key, value in zip(page.keys, values, strict=True)]
    return slot, listed
