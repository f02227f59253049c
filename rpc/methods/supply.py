"""The supply of lamports, and who holds the most."""

from __future__ import annotations

import asyncio
import heapq
from typing import Any

from solders.pubkey import Pubkey

from banking.ledger.records import lamports_of
from rpc.account_view import read_at, slot_at, with_context
from rpc.registry import Call, method

_MOST_LISTED = 20
#: Agave keeps the answer for hours; a scan of all accounts is worth some seconds of age.
_MOST_AGE_SECONDS = 5.0
_PAGE = 2000


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
        snapshot = await call.services.reader.read()
        return with_context([], slot_at(snapshot, commitment))
    slot, largest = await _largest(call)
    value = [{"address": str(Pubkey(key)), "lamports": lamports} for lamports, key in largest]
    return with_context(value, slot)


async def _largest(call: Call) -> tuple[int, list[tuple[int, bytes]]]:
    services = call.services
    async with services.largest_lock:
        kept = services.largest
        now = services.clock.monotonic()
        if kept is not None and now - kept[0] <= _MOST_AGE_SECONDS:
            return kept[1], kept[2]
        snapshot = await services.reader.read()
        largest = await _scan(call, snapshot.epoch)
        services.largest = (now, snapshot.slot, largest)
        return snapshot.slot, largest


async def _scan(call: Call, epoch: int) -> list[tuple[int, bytes]]:
    reader = call.services.reader
    key = reader.keys.epoch(epoch).accounts
    largest: list[tuple[int, bytes]] = []
    seen: set[bytes] = set()
    cursor: Any = 0
    while True:
        page: Any = await reader.client.hscan(key, cursor, count=_PAGE)
        cursor, records = page
        # A scan may give an account twice.
        found = [(lamports_of(record), name) for name, record in records.items() if name not in seen]
        largest = heapq.nlargest(_MOST_LISTED, largest + found)
        seen = {name for _, name in largest}
        if not cursor:
            return largest
        await asyncio.sleep(0)
