"""The supply of lamports, and the accounts with the most."""

from __future__ import annotations

from typing import Any

from solders.pubkey import Pubkey

from rpc.jsonrpc.registry import Call, method
from rpc.methods.account_view import read_at, slot_at, with_context


@method("getSupply")
async def get_supply(call: Call) -> Any:
    slot, snapshot = await read_at(call, call.params.config(0))
    total = snapshot.supply - snapshot.burned
    value = {"total": total, "circulating": total, "nonCirculating": 0, "nonCirculatingAccounts": []}
    return with_context(value, slot)


@method("getLargestAccounts", timeout=30.0)
async def get_largest_accounts(call: Call) -> Any:
    config = call.params.config(0)
    kind = config.choice("filter", ("circulating", "nonCirculating"), "circulating")
    commitment = config.commitment()
    if kind == "nonCirculating":
        snapshot = await call.context.ledger.reader.read()
        return with_context([], slot_at(snapshot, commitment))
    slot, largest = await call.context.indexes.largest.read()
    value = [{"address": str(Pubkey(key)), "lamports": lamports} for lamports, key in largest]
    return with_context(value, slot)
