"""Accounts by the program that owns them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from rpc.encoding.accounts import AccountEncoding
from rpc.index.filters import Filter, passes, read_filters
from rpc.jsonrpc.params import Commitment
from rpc.jsonrpc.registry import Call, method
from rpc.methods.account_search import Page, find_accounts
from rpc.methods.account_view import read_at, records_at, require_slot, with_context
from rpc.methods.accounts import list_all


async def _pages(call: Call, program: bytes, commitment: Commitment, filters: Sequence[Filter]) -> AsyncIterator[Page]:
    """The accounts of `program` in the ledger, and those in the VM alone: sysvars, builtin programs."""
    async for page in find_accounts(call, "program", program, commitment, filters):
        yield page
    native = call.context.ledger.native.owned_by(program)
    if native:
        slot, records = await records_at(call, native, commitment)
        found = [(key, record) for key, record in zip(native, records, strict=True) if passes(filters, record)]
        yield Page(slot, [key for key, _ in found], [record for _, record in found])


@method("getProgramAccounts", timeout=30.0)
async def get_program_accounts(call: Call) -> Any:
    program, config = bytes(call.params.pubkey(0)), call.params.config(1)
    encoding = AccountEncoding.of(config)
    filters = read_filters(config)
    await read_at(call, config)
    pages = _pages(call, program, config.commitment(), filters)
    slot, listed = await list_all(call, encoding, pages)
    require_slot(slot, config)
    return with_context(listed, slot) if config.flag("withContext") else listed
