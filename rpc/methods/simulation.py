"""Simulation: by itself, and as the preflight check of a send."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from solders.hash import Hash

from banking.execution.account_access import static_accounts
from banking.execution.stage import Simulation
from banking.ledger.ledger import MAX_BLOCKHASH_AGE
from banking.transaction import SignedTransaction
from rpc.encoding.accounts import AccountEncoding
from rpc.encoding.error_text import transaction_error_text
from rpc.encoding.transactions import error_value, inner_instructions, return_data
from rpc.jsonrpc.errors import SEND_TRANSACTION_PREFLIGHT_FAILURE, Overloaded, RpcError, invalid_params
from rpc.jsonrpc.params import Commitment, Config, to_pubkey
from rpc.jsonrpc.registry import Call, method
from rpc.methods.account_view import records_at, require_slot, with_context
from rpc.methods.accounts import encode_all
from rpc.sending.transaction_input import decode_text, unverified, verified

_ALREADY_PROCESSED = "AlreadyProcessed"


@method("simulateTransaction", cacheable=False)
async def simulate_transaction(call: Call) -> Any:
    config = call.params.config(1)
    config.commitment()
    raw = decode_text(call.params.text(0), config)
    check_signatures, replace = config.flag("sigVerify"), config.flag("replaceRecentBlockhash")
    if check_signatures and replace:
        raise invalid_params("sigVerify may not be used with replaceRecentBlockhash")
    transaction = verified(raw) if check_signatures else unverified(raw)
    wanted = config.sub("accounts")
    requested = _asked_accounts(wanted, transaction)
    done = await run(call, transaction, check_blockhash=not replace)
    require_slot(done.slot, config)
    value = simulation_value(done, _error_of(done, check=not replace), inner=config.flag("innerInstructions"))
    if wanted is not None:
        value["accounts"] = await _accounts(call, wanted, requested, done)
    if replace:
        snapshot = await call.context.ledger.reader.read()
        value["replacementBlockhash"] = {
            "blockhash": str(Hash.from_bytes(snapshot.blockhash)),
            "lastValidBlockHeight": snapshot.slot + MAX_BLOCKHASH_AGE,
        }
    return with_context(value, done.slot)


async def run(call: Call, transaction: SignedTransaction, *, check_blockhash: bool = True) -> Simulation:
    """Simulate in the simulator's thread. Raises Overloaded."""
    try:
        return await call.context.sending.simulator.simulate(transaction, check_blockhash=check_blockhash)
    except asyncio.QueueFull:
        raise Overloaded("Too many simulations are waiting") from None


def preflight_failure(done: Simulation) -> RpcError | None:
    """The -32002 of a send whose simulation failed, with the simulation in its data; None when it went well."""
    err = _error_of(done, check=True)
    if err is None:
        return None
    return RpcError(
        SEND_TRANSACTION_PREFLIGHT_FAILURE,
        f"Transaction simulation failed: {transaction_error_text(err)}",
        simulation_value(done, err, inner=False),
    )


def _error_of(done: Simulation, *, check: bool) -> Any:
    if check and done.resolved:
        return _ALREADY_PROCESSED
    return error_value(done.result.err)


def simulation_value(simulation: Simulation, err: Any, *, inner: bool) -> dict[str, Any]:
    """An `RpcSimulateTransactionResult`."""
    result, detail = simulation.result, simulation.detail
    already = err == _ALREADY_PROCESSED
    return {
        "err": err,
        "logs": [] if already else result.logs,
        "accounts": None,
        "unitsConsumed": 0 if already else result.units,
        "loadedAccountsDataSize": 0,
        "returnData": return_data(detail) if detail is not None and not already else None,
        "innerInstructions": inner_instructions(detail) if inner and detail is not None else None,
        "replacementBlockhash": None,
    }


def _asked_accounts(wanted: Config | None, transaction: SignedTransaction) -> list[bytes]:
    if wanted is None:
        return []
    addresses = wanted.items("addresses", 100)
    maximum = len(static_accounts(transaction).keys)
    if not transaction.lookups and len(addresses) > maximum:
        raise invalid_params(f"Too many accounts provided; max {maximum}")
    encoding = wanted.choice("encoding", ("base64", "base64+zstd", "jsonParsed", "base58", "binary"), "base64")
    if encoding in ("base58", "binary"):
        raise invalid_params("base58 encoding not supported")
    return [bytes(to_pubkey(address)) for address in addresses]


async def _accounts(call: Call, wanted: Config, keys: list[bytes], simulation: Simulation) -> Sequence[Any]:
    encoding = AccountEncoding.of(wanted, default="base64")
    if simulation.result.err is not None:
        return [None] * len(keys)
    missing = [key for key in keys if key not in simulation.records]
    records = dict(simulation.records)
    if missing:
        _, read = await records_at(call, missing, Commitment.PROCESSED)
        records |= zip(missing, read, strict=True)
    return await encode_all(call, encoding, keys, [records.get(key, b"") for key in keys])
