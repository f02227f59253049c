"""The cluster: one operator, one node, no stake and no votes."""

from __future__ import annotations

from typing import Any

from rpc.jsonrpc.errors import NO_SNAPSHOT, RpcError, block_not_available, invalid_params
from rpc.jsonrpc.params import U64_MAX, to_pubkey
from rpc.jsonrpc.registry import Call, method
from rpc.methods.account_view import API_VERSION, read_at
from rpc.methods.status import FEATURE_SET, SLOTS_IN_EPOCH

_MAX_SAMPLES = 720
_MAX_LEADERS = 5000
_MAX_REWARDED = 1000


@method("getClusterNodes", local=True)
async def get_cluster_nodes(call: Call) -> Any:
    settings = call.context.settings
    return [
        {
            "pubkey": str(call.context.node.identity.pubkey()),
            "gossip": None,
            "tvu": None,
            "tpu": None,
            "tpuQuic": None,
            "tpuForwards": None,
            "tpuForwardsQuic": None,
            "tpuVote": None,
            "serveRepair": None,
            "rpc": f"{settings.rpc.host}:{settings.rpc.port}",
            "pubsub": f"{settings.rpc.host}:{settings.rpc.ws_port}",
            "version": API_VERSION,
            "clientId": "Trunkline",
            "featureSet": FEATURE_SET,
            "shredVersion": 0,
        }
    ]


@method("getEpochSchedule", local=True)
async def get_epoch_schedule(_: Call) -> Any:
    return {
        "slotsPerEpoch": SLOTS_IN_EPOCH,
        "leaderScheduleSlotOffset": SLOTS_IN_EPOCH,
        "warmup": False,
        "firstNormalEpoch": 0,
        "firstNormalSlot": 0,
    }


@method("getLeaderSchedule")
async def get_leader_schedule(call: Call) -> Any:
    # Either parameter may be left out: (slot, config) or (config).
    first = call.params.get(0)
    config = call.params.config(0 if isinstance(first, dict) else 1)
    current, _ = await read_at(call, config)
    slot = current if first is None or isinstance(first, dict) else call.params.uint(0)
    if slot // SLOTS_IN_EPOCH > _last_known_epoch(current):
        return None
    identity = str(call.context.node.identity.pubkey())
    wanted = config.text("identity")
    if wanted is not None and str(to_pubkey(wanted)) != identity:
        return {}
    return {identity: list(range(SLOTS_IN_EPOCH))}


def _last_known_epoch(slot: int) -> int:
    """The schedule is made one epoch ahead."""
    return slot // SLOTS_IN_EPOCH + 1


@method("getSlotLeader")
async def get_slot_leader(call: Call) -> str:
    await read_at(call, call.params.config(0))
    return str(call.context.node.identity.pubkey())


@method("getSlotLeaders")
async def get_slot_leaders(call: Call) -> Any:
    start, limit = call.params.uint(0), call.params.uint(1)
    if not 1 <= limit <= _MAX_LEADERS:
        raise invalid_params(f"Invalid limit; max {_MAX_LEADERS}")
    known = _last_known_epoch((await call.context.ledger.reader.read()).slot)
    if (start + limit - 1) // SLOTS_IN_EPOCH > known:
        epoch = max(start // SLOTS_IN_EPOCH, known + 1)
        raise invalid_params(f"Invalid slot range: leader schedule for epoch {epoch} is unavailable")
    return [str(call.context.node.identity.pubkey())] * limit


@method("getInflationGovernor", local=True)
async def get_inflation_governor(call: Call) -> Any:
    call.params.commitment(0)
    return {"initial": 0.0, "terminal": 0.0, "taper": 0.0, "foundation": 0.0, "foundationTerm": 0.0}


@method("getInflationRate")
async def get_inflation_rate(call: Call) -> Any:
    snapshot = await call.context.ledger.reader.read()
    return {"total": 0.0, "validator": 0.0, "foundation": 0.0, "epoch": snapshot.slot // SLOTS_IN_EPOCH}


@method("getInflationReward")
async def get_inflation_reward(call: Call) -> Any:
    addresses, config = [to_pubkey(value) for value in call.params.items(0, _MAX_REWARDED)], call.params.config(1)
    slot, _ = await read_at(call, config)
    # Of the last epoch that is over; in the first one there is none.
    epoch = config.uint("epoch", max(0, slot // SLOTS_IN_EPOCH - 1))
    assert epoch is not None
    boundary = min((epoch + 1) * SLOTS_IN_EPOCH, U64_MAX)
    if boundary > slot:
        raise block_not_available(boundary)
    # Nobody is paid for stake: inflation is zero.
    return [None] * len(addresses)


@method("getRecentPerformanceSamples", local=True)
async def get_recent_performance_samples(call: Call) -> Any:
    limit = _MAX_SAMPLES if call.params.get(0) is None else call.params.uint(0)
    if limit > _MAX_SAMPLES:
        raise invalid_params(f"Invalid limit; max {_MAX_SAMPLES}")
    return [
        {
            "slot": sample.slot,
            "numTransactions": sample.transactions,
            "numNonVoteTransactions": sample.transactions,
            "numSlots": sample.slots,
            "samplePeriodSecs": sample.seconds,
        }
        for sample in list(call.context.node.performance.samples)[:limit]
    ]


@method("getMaxRetransmitSlot")
async def get_max_retransmit_slot(call: Call) -> int:
    return (await call.context.ledger.reader.read()).slot


@method("getMaxShredInsertSlot")
async def get_max_shred_insert_slot(call: Call) -> int:
    return (await call.context.ledger.reader.read()).slot


@method("getHighestSnapshotSlot", local=True)
async def get_highest_snapshot_slot(_: Call) -> Any:
    raise RpcError(NO_SNAPSHOT, "No snapshot")
