"""Slots, heights and epochs of the chain, and the health of the node."""

from __future__ import annotations

import asyncio
from typing import Any

from solders.hash import Hash
from solders.pubkey import Pubkey

from banking.ledger import reads
from banking.ledger.async_ledger import Snapshot
from banking.ledger.ledger import MAX_BLOCKHASH_AGE
from recovery.degradation import OperationType
from rpc.jsonrpc.errors import node_unhealthy
from rpc.jsonrpc.params import to_hash
from rpc.jsonrpc.registry import Call, method
from rpc.methods.account_view import API_VERSION, read_at, with_context

SLOTS_IN_EPOCH = 432_000
#: First four bytes of the feature set that the VM implements; answered as an opaque number, as Agave does.
FEATURE_SET = 3_640_012_085
#: A slot may take this many times its interval before the node calls itself behind.
_SLOTS_LATE = 10


@method("getSlot", OperationType.STATUS)
async def get_slot(call: Call) -> int:
    slot, _ = await read_at(call, call.params.config(0))
    return slot


@method("getBlockHeight", OperationType.STATUS)
async def get_block_height(call: Call) -> int:
    # No slot is ever skipped, so the height is the slot.
    slot, _ = await read_at(call, call.params.config(0))
    return slot


@method("getTransactionCount", OperationType.STATUS)
async def get_transaction_count(call: Call) -> int:
    _, snapshot = await read_at(call, call.params.config(0))
    return snapshot.transactions


@method("getEpochInfo", OperationType.STATUS)
async def get_epoch_info(call: Call) -> Any:
    return epoch_info(*await read_at(call, call.params.config(0)))


def epoch_info(slot: int, snapshot: Snapshot) -> dict[str, int]:
    """The epoch of `slot`, as `getEpochInfo` tells it."""
    return {
        "absoluteSlot": slot,
        "blockHeight": slot,
        "epoch": slot // SLOTS_IN_EPOCH,
        "slotIndex": slot % SLOTS_IN_EPOCH,
        "slotsInEpoch": SLOTS_IN_EPOCH,
        "transactionCount": snapshot.transactions,
    }


@method("getLatestBlockhash")
async def get_latest_blockhash(call: Call) -> Any:
    # The newest blockhash is that of a block in the archive, so it is the same at every commitment.
    slot, snapshot = await read_at(call, call.params.config(0))
    value = {
        "blockhash": str(Hash.from_bytes(snapshot.blockhash)),
        "lastValidBlockHeight": snapshot.slot + MAX_BLOCKHASH_AGE,
    }
    return with_context(value, slot)


@method("isBlockhashValid")
async def is_blockhash_valid(call: Call) -> Any:
    blockhash = bytes(to_hash(call.params.need(0)))
    since = reads.slot_of_blockhash(blockhash)
    slot, snapshot = await read_at(call, call.params.config(1), since)
    seen_at = snapshot.answer(since)
    valid = seen_at is not None and snapshot.slot - seen_at <= MAX_BLOCKHASH_AGE
    return with_context(valid, slot)


@method("getVersion", OperationType.STATUS, local=True)
async def get_version(_: Call) -> Any:
    return {"feature-set": FEATURE_SET, "solana-core": API_VERSION}


@method("getIdentity", OperationType.STATUS, local=True)
async def get_identity(call: Call) -> Any:
    return {"identity": str(call.context.node.identity.pubkey())}


@method("getGenesisHash", OperationType.STATUS)
async def get_genesis_hash(call: Call) -> str:
    snapshot = await call.context.ledger.reader.read()
    # The ledger's id is 16 random bytes in hex, made at genesis; shown as a 32-byte hash.
    return str(Pubkey(snapshot.ledger_id.encode()[:32].ljust(32, b"\0")))


@method("getHealth", OperationType.HEALTH_CHECK, cacheable=False)
async def get_health(call: Call) -> str:
    context = call.context
    snapshot = await context.ledger.reader.read()
    late = context.ledger.chain.slot_age(snapshot)
    interval = context.settings.blocks.slot_interval
    if late > _SLOTS_LATE * interval + 1.0:
        behind = int(late / interval)
        raise node_unhealthy(f"Node is behind by {behind} slots", behind)
    behind = snapshot.slot - 1 - snapshot.finalized
    if behind > _SLOTS_LATE:
        raise node_unhealthy(f"Node is behind by {behind} slots", behind)
    if context.node.health is not None:
        problem = await asyncio.to_thread(context.node.health.problem)
        if problem is not None:
            raise node_unhealthy(f"Node is unhealthy: {problem}")
    return "ok"
