"""Blocks. Slots are never skipped, and a block exists once it is in the archive."""

from __future__ import annotations

from typing import Any

from rpc.encoding.blocks import encode_block, read_shape
from rpc.jsonrpc.errors import block_not_available, invalid_params
from rpc.jsonrpc.params import Commitment, Config
from rpc.jsonrpc.registry import Call, method
from rpc.methods.account_view import require_slot, slot_at, with_context

_MAX_SLOTS = 500_000
#: A block of more transactions makes a large answer.
_MANY_ENTRIES = 1000


def settled(config: Config) -> Commitment:
    """The commitment of a method that reads blocks only. Raises -32602 for `processed`."""
    commitment = config.commitment()
    if not commitment.settled:
        raise invalid_params("Method does not support commitment below `confirmed`")
    return commitment


@method("getBlock", timeout=10.0)
async def get_block(call: Call) -> Any:
    slot = call.params.uint(0)
    raw = call.params.get(1)
    config = Config({"encoding": raw}) if isinstance(raw, str) else call.params.config(1)
    settled(config)
    shape = read_shape(config)
    block = await call.context.ledger.blocks.read(slot)
    if len(block.entries) > _MANY_ENTRIES:
        await call.budget.heavy()
    return encode_block(block, shape, await call.context.ledger.decimals.of(shape.mints(block)), call.budget.make)


@method("getBlocks")
async def get_blocks(call: Call) -> Any:
    start = call.params.uint(0)
    # (start, end, config), and the end may be left out.
    second = call.params.get(1)
    end = None if second is None or isinstance(second, dict) else call.params.uint(1)
    config = call.params.config(1 if isinstance(second, dict) else 2)
    settled(config)
    if end is not None and end < start:
        return []
    first, last = await _range(call, config)
    last = last if end is None else min(end, last)
    if last - start > _MAX_SLOTS:
        raise invalid_params(f"Slot range too large; max {_MAX_SLOTS}")
    return list(range(max(start, first), last + 1))


@method("getBlocksWithLimit")
async def get_blocks_with_limit(call: Call) -> Any:
    start, limit = call.params.uint(0), call.params.uint(1)
    config = call.params.config(2)
    settled(config)
    if limit > _MAX_SLOTS:
        raise invalid_params(f"Limit too large; max {_MAX_SLOTS}")
    first, last = await _range(call, config)
    start = max(start, first)
    return list(range(start, min(last + 1, start + limit)))


async def _range(call: Call, config: Config) -> tuple[int, int]:
    snapshot = await call.context.ledger.reader.read()
    require_slot(snapshot.finalized, config)
    return await call.context.ledger.blocks.first_available(), snapshot.finalized


@method("getBlockTime")
async def get_block_time(call: Call) -> Any:
    slot = call.params.uint(0)
    snapshot = await call.context.ledger.reader.read()
    if slot > snapshot.finalized:
        raise block_not_available(slot)
    return await call.context.ledger.blocks.time_of(slot)


@method("getFirstAvailableBlock")
async def get_first_available_block(call: Call) -> int:
    return await call.context.ledger.blocks.first_available()


@method("minimumLedgerSlot")
async def minimum_ledger_slot(call: Call) -> int:
    return await call.context.ledger.blocks.first_available()


@method("getBlockCommitment")
async def get_block_commitment(call: Call) -> Any:
    call.params.uint(0)
    # Commitment here is a block's presence in the archive, not stake: there are no votes to count.
    return {"commitment": None, "totalStake": 0}


@method("getBlockProduction")
async def get_block_production(call: Call) -> Any:
    config = call.params.config(0)
    snapshot = await call.context.ledger.reader.read()
    slot = slot_at(snapshot, config.commitment())
    part = config.sub("range")
    first = (part.uint("firstSlot") or 0) if part is not None else 0
    last = part.uint("lastSlot", slot) if part is not None else slot
    assert last is not None
    if last > slot:
        raise invalid_params(f"lastSlot, {last}, is too large; max {slot}")
    if first > last:
        raise invalid_params(f"lastSlot, {last}, cannot be less than firstSlot, {first}")
    slots = last - first + 1
    identity = str(call.context.node.identity.pubkey())
    wanted = config.text("identity")
    by_identity = {identity: [slots, slots]} if wanted in (None, identity) else {}
    return with_context({"byIdentity": by_identity, "range": {"firstSlot": first, "lastSlot": last}}, slot)
