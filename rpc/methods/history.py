"""Transactions that are processed: their statuses, their contents, and lists of them by address."""

from __future__ import annotations

from typing import Any

from solders.signature import Signature

from banking.ledger import reads
from banking.ledger.journal import JournalEntry
from banking.ledger.ledger import BLOCKHASH_HISTORY
from banking.ledger.records import Outcome
from rpc.encoding.transactions import ENCODINGS, encode_with_meta, error_value, executed
from rpc.index.history import Past
from rpc.jsonrpc.errors import filter_transaction_not_found, invalid_params, node_unhealthy
from rpc.jsonrpc.params import Config, to_signature
from rpc.jsonrpc.registry import Call, method
from rpc.methods.account_view import require_slot, with_context
from rpc.methods.blocks import settled

_MAX_STATUSES = 256
_MAX_LISTED = 1000
_CATCH_UP_SECONDS = 2.0


@method("getSignatureStatuses")
async def get_signature_statuses(call: Call) -> Any:
    signatures = [bytes(to_signature(value)) for value in call.params.items(0, _MAX_STATUSES)]
    search = call.params.config(1).flag("searchTransactionHistory")
    if not signatures:
        snapshot = await call.context.ledger.reader.read()
        return with_context([], snapshot.slot)
    recorded = reads.outcomes(signatures)
    snapshot = await call.context.ledger.reader.read(recorded)
    values: list[dict[str, Any] | None] = []
    for signature, outcome in zip(signatures, snapshot.answer(recorded), strict=True):
        past = await _forgotten(call, signature, snapshot.slot) if outcome is None and search else None
        if outcome is not None:
            values.append(status_of(outcome.slot, outcome.err, snapshot.finalized))
        else:
            values.append(status_of(past.slot, past.err, snapshot.finalized) if past is not None else None)
    return with_context(values, snapshot.slot)


async def _forgotten(call: Call, signature: bytes, slot: int) -> Past | None:
    """A transaction that Redis has forgotten by its age, not one of a tail that it lost, which the index still has."""
    past = call.context.indexes.history.find(signature)
    if past is None or past.slot < slot - BLOCKHASH_HISTORY:
        return past
    entry = await call.context.ledger.blocks.find_entry(past.slot, past.seq)
    return past if entry is not None and _is_of(entry, signature) else None


def _is_of(entry: JournalEntry, signature: bytes) -> bool:
    """Where Redis lost its tail, the index remembers places at which others stand now."""
    return bool(entry.raw) and bytes(executed(entry).parsed.signatures[0]) == signature


def status_of(slot: int, err: str | None, finalized: int) -> dict[str, Any]:
    """A `TransactionStatus`."""
    value = error_value(err)
    final = slot <= finalized
    return {
        "slot": slot,
        "confirmations": None if final else 0,
        "status": {"Ok": None} if err is None else {"Err": value},
        "err": value,
        "confirmationStatus": "finalized" if final else "processed",
    }


@method("getTransaction")
async def get_transaction(call: Call) -> Any:
    signature = bytes(call.params.signature(0))
    raw = call.params.get(1)
    config = Config({"encoding": raw}) if isinstance(raw, str) else call.params.config(1)
    settled(config)
    encoding = config.choice("encoding", ENCODINGS, "json")
    most_version = config.uint("maxSupportedTransactionVersion", maximum=255)
    context = call.context
    recorded = reads.outcome(signature)
    snapshot = await context.ledger.reader.read(recorded)
    place: Outcome | Past | None = snapshot.answer(recorded) or context.indexes.history.find(signature)
    if place is None or place.slot > snapshot.finalized:
        return None
    entry = await context.ledger.blocks.find_entry(place.slot, place.seq)
    # Without a fee it was refused, and never stood in a block.
    if entry is None or not entry.included or not _is_of(entry, signature):
        return None
    item = executed(entry)
    decimals = await context.ledger.decimals.of(item.mints)
    body = encode_with_meta(item, encoding, most_version, decimals)
    return {"slot": entry.slot, "blockTime": await context.ledger.blocks.time_of(entry.slot)} | body


@method("getSignaturesForAddress")
async def get_signatures_for_address(call: Call) -> Any:
    address, config = bytes(call.params.pubkey(0)), call.params.config(1)
    settled(config)
    limit = config.uint("limit", _MAX_LISTED)
    assert limit is not None
    if not 1 <= limit <= _MAX_LISTED:
        raise invalid_params(f"Invalid limit; max {_MAX_LISTED}")
    before, until = _signature(config, "before"), _signature(config, "until")
    context = call.context
    snapshot = await context.ledger.reader.read()
    require_slot(snapshot.finalized, config)
    if not await context.indexes.follower.wait_for(snapshot, _CATCH_UP_SECONDS):
        raise node_unhealthy("Node is unhealthy: the history of addresses is being built")
    listed = _page(call, address, snapshot.finalized, limit, (before, until))
    return [await _listed(call, past) for past in listed]


def _page(
    call: Call, address: bytes, finalized: int, limit: int, between: tuple[bytes | None, bytes | None]
) -> list[Past]:
    history = call.context.indexes.history
    before, until = (None if signature is None else _found(call, signature) for signature in between)
    listed: list[Past] = []
    for past in history.newest_first(address):
        if until is not None and past.seq <= until.seq:
            break
        if past.slot > finalized or (before is not None and past.seq >= before.seq):
            continue
        listed.append(past)
        if len(listed) == limit:
            break
    return listed


def _found(call: Call, signature: bytes) -> Past:
    """The transaction at an end of a listing. Raises -32020 when it is not remembered."""
    past = call.context.indexes.history.find(signature)
    if past is None:
        raise filter_transaction_not_found(str(Signature.from_bytes(signature)))
    return past


def _signature(config: Config, name: str) -> bytes | None:
    value = config.text(name)
    return None if value is None else bytes(to_signature(value))


async def _listed(call: Call, past: Past) -> dict[str, Any]:
    return {
        "signature": str(Signature.from_bytes(past.signature)),
        "slot": past.slot,
        "err": error_value(past.err),
        "memo": past.memo,
        "blockTime": await call.context.ledger.blocks.time_of(past.slot),
        "confirmationStatus": "finalized",
    }
