"""Methods that Agave has removed and web3.js v1, which most programs still use, still calls: as Agave 1.18 had them."""

from __future__ import annotations

from typing import Any

from banking.ledger.records import lamports_of
from rpc.jsonrpc.errors import invalid_params
from rpc.jsonrpc.registry import Call, method
from rpc.methods.account_view import records_at, require_slot
from rpc.methods.history import get_signatures_for_address
from rpc.methods.status import SLOTS_IN_EPOCH, is_blockhash_valid
from rpc.methods.votes import delegation_of, is_active

_LAMPORTS_PER_SIGNATURE = 5_000


@method("getFeeCalculatorForBlockhash")
async def get_fee_calculator_for_blockhash(call: Call) -> Any:
    found = await is_blockhash_valid(call)
    value = {"feeCalculator": {"lamportsPerSignature": _LAMPORTS_PER_SIGNATURE}} if found["value"] else None
    return found | {"value": value}


@method("getConfirmedSignaturesForAddress2")
async def get_confirmed_signatures_for_address2(call: Call) -> Any:
    return await get_signatures_for_address(call)


@method("getStakeActivation")
async def get_stake_activation(call: Call) -> Any:
    """Without a history of stake, as here, all of it becomes active with the epoch after its delegation."""
    key, config = bytes(call.params.pubkey(0)), call.params.config(1)
    slot, (record,) = await records_at(call, [key], config.commitment())
    require_slot(slot, config)
    epoch = slot // SLOTS_IN_EPOCH
    asked = config.uint("epoch")
    if asked is not None and asked != epoch:
        raise invalid_params(f"Invalid param: epoch {asked}. Only the current epoch ({epoch}) is supported")
    if not record:
        raise invalid_params("Invalid param: account not found")
    meta, delegation = delegation_of(record)
    if meta is None:
        raise invalid_params("Invalid param: not a stake account")
    if delegation is None:
        raise invalid_params("Invalid param: stake account has not been delegated")
    since, until = int(delegation["activationEpoch"]), int(delegation["deactivationEpoch"])
    active = int(delegation["stake"]) if is_active(delegation, epoch) else 0
    if active:
        state = "deactivating" if until == epoch else "active"
    else:
        state = "activating" if since == epoch and until != epoch else "inactive"
    return {
        "state": state,
        "active": active,
        "inactive": max(0, lamports_of(record) - active - int(meta["rentExemptReserve"])),
    }
