"""Accounts by the program that owns them."""

from __future__ import annotations

from typing import Any

from rpc.encoding.accounts import AccountEncoding
from rpc.index.filters import read_filters
from rpc.jsonrpc.registry import Call, method
from rpc.methods.account_search import find_accounts
from rpc.methods.account_view import read_at, require_slot, with_context
from rpc.methods.accounts import list_all


@method("getProgramAccounts", timeout=30.0)
async def get_program_accounts(call: Call) -> Any:
    program, config = bytes(call.params.pubkey(0)), call.params.config(1)
    encoding = AccountEncoding.of(config)
    filters = read_filters(config)
    await read_at(call, config)
    pages = find_accounts(call, "program", program, config.commitment(), filters)
    slot, listed = await list_all(call, encoding, pages)
    require_slot(slot, config)
    return with_context(listed, slot) if config.flag("withContext") else listed
