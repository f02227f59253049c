"""Fees and rent."""

from __future__ import annotations

from typing import Any

from solders.message import from_bytes_versioned

from banking.execution.fees import fee_of
from banking.execution.nonces import advanced_nonce, stored_nonce
from banking.ledger import reads
from banking.ledger.ledger import MAX_BLOCKHASH_AGE
from rpc.encoding.text import decode_base64
from rpc.index.fees import SLOTS
from rpc.jsonrpc.errors import invalid_params
from rpc.jsonrpc.params import Commitment, to_pubkey
from rpc.jsonrpc.registry import Call, method
from rpc.methods.account_view import read_at, records_at, with_context

_MAX_MESSAGE_TEXT = 1644
_MAX_ACCOUNT_BYTES = 10 * 1024 * 1024
_MAX_ADDRESSES = 128


@method("getMinimumBalanceForRentExemption", local=True)
async def get_minimum_balance(call: Call) -> int:
    size = call.params.uint(0)
    call.params.commitment(1)
    if size > _MAX_ACCOUNT_BYTES:
        raise invalid_params(f"Invalid params: an account has at most {_MAX_ACCOUNT_BYTES} bytes of data.")
    return call.context.ledger.native.minimum_balance(size)


@method("getFeeForMessage")
async def get_fee_for_message(call: Call) -> Any:
    message = _decode(call.params.text(0))
    blockhash = bytes(message.recent_blockhash)
    since = reads.slot_of_blockhash(blockhash)
    slot, snapshot = await read_at(call, call.params.config(1), since)
    seen_at = snapshot.answer(since)
    valid = seen_at is not None and snapshot.slot - seen_at <= MAX_BLOCKHASH_AGE
    if not valid and not await _is_nonce(call, message):
        return with_context(None, slot)
    return with_context(fee_of(message), slot)


async def _is_nonce(call: Call, message: Any) -> bool:
    """Whether the message's blockhash is the value of the nonce account that it advances."""
    key = advanced_nonce(message)
    if key is None:
        return False
    _, (record,) = await records_at(call, [key], Commitment.PROCESSED)
    return stored_nonce(record) == bytes(message.recent_blockhash)


def _decode(text: str) -> Any:
    if len(text) > _MAX_MESSAGE_TEXT:
        raise invalid_params(f"base64 encoded message too large: {len(text)} bytes (max: {_MAX_MESSAGE_TEXT})")
    try:
        raw = decode_base64(text)
    except ValueError as error:
        raise invalid_params(f"invalid base64 encoding: {error}") from None
    try:
        return from_bytes_versioned(raw)
    except ValueError as error:
        raise invalid_params(f"failed to deserialize solana_message::versions::VersionedMessage: {error}") from None


@method("getRecentPrioritizationFees")
async def get_recent_prioritization_fees(call: Call) -> Any:
    values = [] if call.params.get(0) is None else call.params.items(0, _MAX_ADDRESSES)
    accounts = [bytes(to_pubkey(value)) for value in values]
    snapshot = await call.context.ledger.reader.read()
    fees = call.context.indexes.fees
    slots = range(max(1, snapshot.slot - SLOTS), snapshot.slot)
    return [{"slot": slot, "prioritizationFee": fees.of(slot, accounts)} for slot in slots]


@method("getStakeMinimumDelegation")
async def get_stake_minimum_delegation(call: Call) -> Any:
    slot, _ = await read_at(call, call.params.config(0))
    return with_context(1_000_000_000, slot)
