"""Token balances, supplies and the largest holders."""

from __future__ import annotations

import heapq
from typing import Any

from solders.pubkey import Pubkey

from banking.ledger.records import HEADER_SIZE
from rpc.encoding.token_layout import is_mint, is_token_account, read_mint, read_token_account, token_amount
from rpc.jsonrpc.errors import invalid_params
from rpc.jsonrpc.params import Commitment
from rpc.jsonrpc.registry import Call, method
from rpc.methods.account_search import find_accounts
from rpc.methods.account_view import records_at, with_context

_MAX_LISTED = 20


@method("getTokenAccountBalance")
async def get_token_account_balance(call: Call) -> Any:
    key, commitment = bytes(call.params.pubkey(0)), call.params.commitment(1)
    slot, (record,) = await records_at(call, [key], commitment)
    if not record:
        raise invalid_params("Invalid param: could not find account")
    if not is_token_account(record):
        raise invalid_params("Invalid param: not a Token account")
    account = read_token_account(record[HEADER_SIZE:])
    decimals = await call.context.ledger.decimals.of([account.mint])
    if account.mint not in decimals:
        raise invalid_params("Invalid param: could not find mint")
    return with_context(token_amount(account.amount, decimals[account.mint]), slot)


@method("getTokenSupply")
async def get_token_supply(call: Call) -> Any:
    slot, mint = await _mint_record(call, bytes(call.params.pubkey(0)), call.params.commitment(1))
    parsed = read_mint(mint[HEADER_SIZE:])
    return with_context(token_amount(parsed.supply, parsed.decimals), slot)


@method("getTokenLargestAccounts", timeout=30.0)
async def get_token_largest_accounts(call: Call) -> Any:
    key, commitment = bytes(call.params.pubkey(0)), call.params.commitment(1)
    _, mint = await _mint_record(call, key, commitment)
    decimals = read_mint(mint[HEADER_SIZE:]).decimals
    slot, largest = 0, list[tuple[int, bytes]]()
    async for page in find_accounts(call, "mint", key, commitment):
        slot = page.slot
        amounts = (
            (read_token_account(record[HEADER_SIZE:]).amount, name)
            for name, record in zip(page.keys, page.records, strict=True)
        )
        largest = heapq.nlargest(_MAX_LISTED, [*largest, *amounts])
    value = [{"address": str(Pubkey(name)), **token_amount(amount, decimals)} for amount, name in largest]
    return with_context(value, slot)


async def _mint_record(call: Call, key: bytes, commitment: Commitment) -> tuple[int, bytes]:
    slot, (record,) = await records_at(call, [key], commitment)
    if not record:
        raise invalid_params("Invalid param: could not find account")
    if not is_mint(record):
        raise invalid_params("Invalid param: not a Token mint")
    return slot, record
