"""Accounts as of a commitment, with the slot that the answer is true at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from banking.ledger import reads
from banking.ledger.async_ledger import Snapshot
from banking.ledger.reads import Read
from banking.ledger.versions import sequence
from rpc.jsonrpc.errors import min_context_slot_not_reached, node_unhealthy
from rpc.jsonrpc.params import Commitment, Config
from rpc.jsonrpc.registry import Call
from rpc.ledger_access.rent import shown


def response_context(slot: int) -> dict[str, Any]:
    """The `context` member of an answer."""
    return {"apiVersion": API_VERSION, "slot": slot}


#: The version of Agave whose answers these are.
API_VERSION = "4.1.0"
#: Accounts of so many bytes together are read in a shared round trip, without taking a budget.
_SMALL_BYTES = 128 * 1024


def slot_at(snapshot: Snapshot, commitment: Commitment) -> int:
    """The newest slot at `commitment`."""
    return snapshot.finalized if commitment.settled else snapshot.slot


def require_slot(slot: int, config: Config) -> None:
    """Raises -32016 when `slot` is before the client's `minContextSlot`."""
    least = config.min_context_slot()
    if least is not None and slot < least:
        raise min_context_slot_not_reached(slot)


async def read_at(call: Call, config: Config, *wanted: Read[Any]) -> tuple[int, Snapshot]:
    """Answers to `wanted`, with the slot of the answer: the newest at the commitment in `config`."""
    snapshot = await call.context.ledger.reader.read(*wanted)
    slot = slot_at(snapshot, config.commitment())
    require_slot(slot, config)
    return slot, snapshot


async def records_at(call: Call, keys: Sequence[bytes], commitment: Commitment) -> tuple[int, list[bytes]]:
    """The records of `keys` (b"" = absent), all of one moment, and the slot they are true at.

    Redis holds the newest state only. When that is not finalized for one of `keys` and the commitment asks for it,
    this waits until it is, so that what is answered as finalized cannot be lost. Raises -32005 when sealing stalls, and
    when together they are larger than an answer may be.
    """
    context = call.context
    if not keys:
        snapshot = await context.ledger.reader.read()
        return slot_at(snapshot, commitment), []
    distinct = list(dict.fromkeys(keys))
    read = await read_accounts(call, distinct, _SMALL_BYTES)
    while isinstance(read, Sizes):
        # Large: on a connection of its own, and only within the budget. It may grow meanwhile.
        await call.budget.heavy(read.total)
        read = await read_accounts(call, distinct, read.total, alone=True)
    slot = await settled_slot(call, read, commitment)
    return slot, [read.records[key] for key in keys]


@dataclass(frozen=True, slots=True)
class Sizes:
    """The accounts are larger than was allowed: their sizes in bytes, in the order asked."""

    sizes: list[int]

    @property
    def total(self) -> int:
        return sum(self.sizes)


@dataclass(frozen=True, slots=True)
class Records:
    """Accounts by key (b"" = absent), their versions, and the moment they were read at."""

    snapshot: Snapshot
    records: dict[bytes, bytes]
    versions: list[bytes | None]


async def read_accounts(call: Call, keys: Sequence[bytes], most_bytes: int, *, alone: bool = False) -> Records | Sizes:
    """The newest records of `keys` if they have no more than `most_bytes` together."""
    context = call.context
    read = context.ledger.reader.read_alone if alone else context.ledger.reader.read
    wanted, blockhashes = reads.bounded_accounts(keys, most_bytes), reads.blockhashes()
    needs_blockhashes = context.ledger.native.needs_blockhashes(keys)
    snapshot = await (read(wanted, blockhashes) if needs_blockhashes else read(wanted))
    stored = snapshot.answer(wanted)
    if not stored.fits:
        return Sizes(stored.sizes)
    native = context.ledger.native
    hashes = snapshot.answer(blockhashes) if needs_blockhashes else None
    records = {
        key: shown(record, version) if record else native.record(key, snapshot, hashes)
        for key, record, version in zip(keys, stored.records, stored.versions, strict=True)
    }
    return Records(snapshot, records, stored.versions)


async def settled_slot(call: Call, read: Records, commitment: Commitment) -> int:
    """The slot that `read` is true at, once it is as settled as `commitment` asks for. Raises -32005."""
    context, snapshot = call.context, read.snapshot
    if not commitment.settled:
        return snapshot.slot
    newest = max((sequence(version) for version in read.versions if version), default=0)
    if newest <= snapshot.finalized_seq:
        return snapshot.finalized
    wait = context.settings.rpc.commitment_wait
    if not await context.ledger.chain.wait_finalized(snapshot, wait):
        tip = context.ledger.chain.tip
        behind = snapshot.slot - (snapshot.finalized if tip is None else tip.finalized)
        raise node_unhealthy(f"Node is behind by {behind} slots", behind)
    return snapshot.slot


def with_context(value: Any, slot: int) -> dict[str, Any]:
    """An answer with its context."""
    return {"context": response_context(slot), "value": value}
