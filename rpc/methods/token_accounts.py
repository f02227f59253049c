"""Token accounts of an owner or a delegate."""

from __future__ import annotations

from typing import Any

from banking.ledger.records import HEADER_SIZE, OWNER_AT
from rpc.encoding.accounts import AccountEncoding
from rpc.encoding.token_layout import TOKEN_PROGRAMS, is_mint
from rpc.index.filters import Filter
from rpc.jsonrpc.errors import invalid_params
from rpc.jsonrpc.params import to_pubkey, wrong_type
from rpc.jsonrpc.registry import Call, method
from rpc.methods.account_search import find_accounts
from rpc.methods.account_view import read_at, records_at, require_slot, with_context
from rpc.methods.accounts import list_all


@method("getTokenAccountsByOwner", timeout=30.0)
async def get_token_accounts_by_owner(call: Call) -> Any:
    return await _list(call, "owner")


@method("getTokenAccountsByDelegate", timeout=30.0)
async def get_token_accounts_by_delegate(call: Call) -> Any:
    return await _list(call, "delegate")


async def _list(call: Call, by: str) -> Any:
    holder = bytes(call.params.pubkey(0))
    config = call.params.config(2)
    encoding = AccountEncoding.of(config)
    await read_at(call, config)
    chosen = await _filter(call, call.params.need(1))
    slot, listed = await list_all(call, encoding, find_accounts(call, by, holder, config.commitment(), [chosen]))
    require_slot(slot, config)
    return with_context(listed, slot)


async def _filter(call: Call, value: Any) -> Filter:
    if not isinstance(value, dict):
        raise wrong_type(value, "a map")
    if value.get("mint") is not None:
        mint = bytes(to_pubkey(value["mint"]))
        config = call.params.config(2)
        _, (record,) = await records_at(call, [mint], config.commitment())
        if not record or not is_mint(record):
            raise invalid_params("Invalid param: could not find mint")
        return lambda record: record[HEADER_SIZE : HEADER_SIZE + 32] == mint
    if value.get("programId") is not None:
        program = bytes(to_pubkey(value["programId"]))
        if program not in TOKEN_PROGRAMS:
            raise invalid_params("Invalid param: unrecognized Token program id")
        return lambda record: record[OWNER_AT:HEADER_SIZE] == program
    raise invalid_params("Invalid params: expected `mint` or `programId`.")
