"""Accounts as of a commitment, with the slot that the answer is true at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from banking.versions import sequence
from rpc.errors import min_context_slot_not_reached, node_unhealthy
from rpc.params import Commitment, Config
from rpc.reader import Command, Snapshot
from rpc.registry import Call

if TYPE_CHECKING:
    from rpc.services import Services


def context(slot: int) -> dict[str, Any]:
    """The `context` member of an answer."""
    return {"apiVersion": API_VERSION, "slot": slot}


API_VERSION = "3.1.0"


def slot_at(snapshot: Snapshot, commitment: Commitment) -> int:
    """The newest slot at `commitment`."""
    return snapshot.finalized if commitment.settled else snapshot.slot


def require_slot(slot: int, config: Config) -> None:
    """Raises -32016 when `slot` is before the client's `minContextSlot`."""
    least = config.min_context_slot()
    if least is not None and slot < least:
        raise min_context_slot_not_reached(slot)


async def read_at(call: Call, config: Config, *commands: Command) -> tuple[int, Snapshot]:
    """Answers to `commands`, with the slot to tell: the newest at the commitment in `config`."""
    snapshot = await call.services.reader.read(*commands)
    slot = slot_at(snapshot, config.commitment())
    require_slot(slot, config)
    return slot, snapshot


async def records_at(
    services: Services, keys: Sequence[bytes], commitment: Commitment, *, alone: bool = False
) -> tuple[int, list[bytes]]:
    """The records of `keys` (b"" = absent) and the slot they are true at.

    Redis holds the newest state only. When that is not finalized for one of `keys` and the commitment asks for it,
    this waits until it is, so that what is told as finalized cannot be lost. Raises -32005 when sealing stalls.
    """
    if not keys:
        snapshot = await services.reader.read()
        return slot_at(snapshot, commitment), []
    read = services.reader.read_alone if alone else services.reader.read
    snapshot = await read(("HMGET", "accounts", *keys), ("HMGET", "versions", *keys))
    found, versions = snapshot.answers
    native = services.native
    records = [record or native.record(key, snapshot) for key, record in zip(keys, found, strict=True)]
    if not commitment.settled:
        return snapshot.slot, records
    newest = max((sequence(version) for version in versions if version), default=0)
    if newest <= snapshot.finalized_seq:
        return snapshot.finalized, records
    wait = services.settings.rpc_commitment_wait
    if not await services.chain.wait_finalized(snapshot.slot, wait):
        tip = services.chain.tip
        behind = snapshot.slot - (snapshot.finalized if tip is None else tip.finalized)
        raise node_unhealthy(f"Node is behind by {behind} slots", behind)
    return snapshot.slot, records


def with_context(value: Any, slot: int) -> dict[str, Any]:
    """An answer with its context."""
    return {"context": context(slot), "value": value}
