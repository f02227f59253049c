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
from rpc.encoding.simulation import (
    ALREADY_PROCESSED,
    SIGNATURE_FAILURE,
    mints_of,
    preflight_value,
    refused_value,
    simulation_value,
)
from rpc.encoding.transactions import error_value, loaded_addresses
from rpc.jsonrpc.errors import SEND_TRANSACTION_PREFLIGHT_FAILURE, Overloaded, RpcError, invalid_params
from rpc.jsonrpc.params import Commitment, Config, to_pubkey
from rpc.jsonrpc.registry import Call, method
from rpc.ledger_access.rent import exempt
from rpc.methods.account_view import records_at, require_slot, with_context
from rpc.methods.accounts import encode_all
from rpc.sending.transaction_input import decode_text, judged, unverified


@method("simulateTransaction", cacheable=False)
async def simulate_transaction(call: Call) -> Any:
    config = call.params.config(1)
    config.commitment()
    raw = decode_text(call.params.text(0), config)
    check_signatures, replace = config.flag("sigVerify"), config.flag("replaceRecentBlockhash")
    if check_signatures and replace:
        raise invalid_params("sigVerify may not be used with replaceRecentBlockhash")
    transaction, genuine = judged(raw) if check_signatures else (unverified(raw), True)
    wanted = config.sub("accounts")
    requested = _asked_accounts(wanted, transaction)
    done = await run(call, transaction, check_blockhash=not replace)
    require_slot(done.slot, config)
    err = _error_of(done, check=not replace) if genuine else SIGNATURE_FAILURE
    value = await _value(call, transaction, done, err)
    if not config.flag("innerInstructions"):
        value["innerInstructions"] = None
    if wanted is not None:
        value["accounts"] = await _accounts(call, wanted, requested, done if err is None else None)
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


async def _value(call: Call, transaction: SignedTransaction, done: Simulation, err: Any) -> dict[str, Any]:
    if err == SIGNATURE_FAILURE:
        # What it would have done, if it were genuine, is nobody's business but the addresses that it names.
        return refused_value(err) | {"loadedAddresses": loaded_addresses(done.detail)}
    decimals = await call.context.ledger.decimals.of(mints_of(done))
    keys = [str(key) for key in transaction.parsed.message.account_keys]
    return simulation_value(done, err, decimals, keys=keys)


def preflight_failure(done: Simulation) -> RpcError | None:
    """The -32002 of a send whose simulation failed, with the simulation in its data; None when it went well."""
    err = _error_of(done, check=True)
    return None if err is None else _failure(err, preflight_value(done, err))


def signature_failure() -> RpcError:
    """The -32002 of a send whose signatures do not verify."""
    return _failure(SIGNATURE_FAILURE, refused_value(SIGNATURE_FAILURE))


def _failure(err: Any, data: dict[str, Any]) -> RpcError:
    words = f"Transaction simulation failed: {transaction_error_text(err)}"
    return RpcError(SEND_TRANSACTION_PREFLIGHT_FAILURE, words, data)


def _error_of(done: Simulation, *, check: bool) -> Any:
    if check and done.resolved:
        return ALREADY_PROCESSED
    return error_value(done.result.err)


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


async def _accounts(call: Call, wanted: Config, keys: list[bytes], simulation: Simulation | None) -> Sequence[Any]:
    encoding = AccountEncoding.of(wanted, default="base64")
    if simulation is None:
        return [None] * len(keys)
    _, read = await records_at(call, keys, Commitment.PROCESSED)
    written = (simulation.written.get(key) for key in keys)
    records = [found if record is None else exempt(record) for found, record in zip(read, written, strict=True)]
    return await encode_all(call, encoding, keys, records)
