"""Simulations in the shape of Solana's RPC: an `RpcSimulateTransactionResult`, every member in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from banking.execution.stage import Simulation
from banking.ledger.records import HEADER_SIZE
from rpc.encoding.token_layout import is_mint, read_mint
from rpc.encoding.transactions import inner_instructions, loaded_addresses, return_data, token_balances

ALREADY_PROCESSED = "AlreadyProcessed"
SIGNATURE_FAILURE = "SignatureFailure"


def refused_value(err: Any) -> dict[str, Any]:
    """Of a transaction that was not even loaded."""
    return {
        "err": err,
        "logs": [],
        "accounts": None,
        "unitsConsumed": 0,
        "loadedAccountsDataSize": 0,
        "returnData": None,
        "innerInstructions": None,
        "replacementBlockhash": None,
        "fee": None,
        "preBalances": None,
        "postBalances": None,
        "preTokenBalances": None,
        "postTokenBalances": None,
        "loadedAddresses": None,
    }


def preflight_value(done: Simulation, err: Any) -> dict[str, Any]:
    """As the data of a preflight that failed: without balances and addresses."""
    value = refused_value(err)
    if err == ALREADY_PROCESSED:
        return value
    return value | {
        "logs": done.result.logs,
        "unitsConsumed": done.result.units,
        "loadedAccountsDataSize": done.detail.loaded_bytes or 0,
        "returnData": return_data(done.detail),
        # A fee is never 0: then nobody could be charged.
        "fee": done.result.fee or None,
    }


def simulation_value(done: Simulation, err: Any, decimals: Mapping[bytes, int], *, keys: list[str]) -> dict[str, Any]:
    """As the answer to a simulation; `keys` are the message's own accounts, `decimals` those of the mints."""
    detail, known = done.detail, dict(decimals) | _new_mints(done)
    unchanged = err == ALREADY_PROCESSED
    return preflight_value(done, err) | {
        "innerInstructions": inner_instructions(detail, keys),
        "preBalances": detail.pre,
        "postBalances": detail.pre if unchanged else detail.post,
        "preTokenBalances": token_balances(detail.pre_tokens, known),
        "postTokenBalances": token_balances(detail.pre_tokens if unchanged else detail.post_tokens, known),
        "loadedAddresses": loaded_addresses(detail),
    }


def mints_of(done: Simulation) -> set[bytes]:
    """The mints whose decimals `simulation_value` needs."""
    return {balance.mint for balance in (*done.detail.pre_tokens, *done.detail.post_tokens)}


def _new_mints(done: Simulation) -> dict[bytes, int]:
    """Decimals of the mints that the transaction itself would make."""
    records = ((mint, done.records.get(mint, b"")) for mint in mints_of(done))
    return {mint: read_mint(record[HEADER_SIZE:]).decimals for mint, record in records if record and is_mint(record)}
