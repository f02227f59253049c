"""Accounts by the program that owns them."""

from __future__ import annotations

from typing import Any

from solders.pubkey import Pubkey

from rpc.encoding.accounts import AccountEncoding
from rpc.filters import read_filters
from rpc.found import find_accounts
from rpc.methods.accounts import encode_all
from rpc.registry import Call, method
from rpc.view import require_slot, with_context


@method("getProgramAccounts", timeout=30.0)
async def get_program_accounts(call: Call) -> Any:
    program, config = bytes(call.params.pubkey(0)), call.params.config(1)
    encoding = AccountEncoding.of(config)
    filters = read_filters(config)
    found = await find_accounts(call, "program", program, config.commitment(), filters)
    require_slot(found.slot, config)
    values = await encode_all(call, encoding, found.keys, found.records)
    listed = [{"pubkey": str(Pubkey(key)), "account": value} for key, value in zip(found.keys, values, strict=True)]
    return with_context(listed, found.slot) if config.flag("withContext") else listed
