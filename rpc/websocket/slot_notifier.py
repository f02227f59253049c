"""Notifications of slots, roots and blocks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from recovery.clock import Clock
from rpc.context import LedgerAccess
from rpc.encoding.blocks import encode_block
from rpc.encoding.transactions import executed
from rpc.index.history import addresses_of
from rpc.jsonrpc.errors import RpcError, invalid_request
from rpc.ledger_access.blocks import ChainBlock
from rpc.ledger_access.chain import Tip
from rpc.ledger_access.follower import Followed
from rpc.websocket.payloads import in_slot, payload, post
from rpc.websocket.subscription import Subscription
from rpc.websocket.subscription_table import SubscriptionTable

_MAX_COUNTED = 64
#: After a pause only the newest slots are notified one by one.
_MAX_NOTIFIED = 64


@dataclass(slots=True)
class _Counts:
    succeeded: int = 0
    failed: int = 0


class SlotNotifier:
    """Notifies slot, root, slotsUpdates and block subscriptions of the progress of the chain."""

    def __init__(self, ledger: LedgerAccess, table: SubscriptionTable, *, clock: Clock, answer_limit: int) -> None:
        self._ledger = ledger
        self._clock = clock
        self._answer_limit = answer_limit
        self._table = table
        self._counts: OrderedDict[int, _Counts] = OrderedDict()

    def count(self, entries: list[Followed]) -> None:
        """Note what happened in the slots."""
        for followed in entries:
            counts = self._counts.setdefault(followed.entry.slot, _Counts())
            if followed.entry.outcome.ok:
                counts.succeeded += 1
            else:
                counts.failed += 1
        while len(self._counts) > _MAX_COUNTED:
            self._counts.popitem(last=False)

    async def notify(self, old: Tip | None, tip: Tip) -> None:
        """Notify of what changed from `old` to `tip`."""
        if old is None or old.epoch != tip.epoch:
            return
        self._notify_slots(max(old.slot, tip.slot - _MAX_NOTIFIED) + 1, tip)
        first = max(old.finalized, tip.finalized - _MAX_NOTIFIED) + 1
        self._notify_roots(first, tip)
        if self._table.any("block"):
            for slot in range(first, tip.finalized + 1):
                await self._notify_block(slot)

    def _notify_slots(self, first: int, tip: Tip) -> None:
        slots = self._table.find("slot")
        updates = self._table.find("slotsUpdates")
        for slot in range(first, tip.slot + 1) if slots or updates else ():
            text = payload({"parent": slot - 1, "root": tip.finalized, "slot": slot})
            for subscription in slots:
                post(subscription, text)
            if updates:
                self._update(updates, slot - 1, "completed")
                self._update(updates, slot - 1, "frozen", stats=self._stats(slot - 1))
                self._update(updates, slot, "createdBank", parent=slot - 1)

    def _notify_roots(self, first: int, tip: Tip) -> None:
        roots = self._table.find("root")
        updates = self._table.find("slotsUpdates")
        for slot in range(first, tip.finalized + 1) if roots or updates else ():
            for subscription in roots:
                post(subscription, str(slot))
            if updates:
                self._update(updates, slot, "optimisticConfirmation")
                self._update(updates, slot, "root")

    def _update(self, subscribed: list[Subscription], slot: int, kind: str, **more: Any) -> None:
        timestamp = int(self._clock.time() * 1000)
        text = payload({"slot": slot, "timestamp": timestamp, "type": kind, **more})
        for subscription in subscribed:
            post(subscription, text)

    def _stats(self, slot: int) -> dict[str, int]:
        counts = self._counts.get(slot, _Counts())
        entries = counts.succeeded + counts.failed
        return {
            "numTransactionEntries": entries,
            "numSuccessfulTransactions": counts.succeeded,
            "numFailedTransactions": counts.failed,
            "maxTransactionsPerEntry": min(1, entries),
        }

    async def _notify_block(self, slot: int) -> None:
        try:
            block = await self._ledger.blocks.read(slot)
        except RpcError:
            block = None
        for subscription in list(self._table.all("block")):
            if block is not None:
                await self._notify_block_subscriber(subscription, block)

    async def _notify_block_subscriber(self, subscription: Subscription, block: ChainBlock) -> None:
        shape = subscription.block
        assert shape is not None
        wanted = block if not subscription.topic else _mentioning(block, subscription.topic)
        if subscription.topic and not wanted.entries:
            return
        value: dict[str, Any] = {"slot": block.slot, "err": None, "block": None}
        try:
            decimals = await self._ledger.decimals.of(shape.mints(wanted))
            value["block"] = encode_block(wanted, shape, decimals, self._bounded())
        except RpcError as error:
            value["err"] = error.message
        post(subscription, payload(in_slot(block.slot, value)))

    def _bounded(self) -> Callable[[int], None]:
        """Refuses a block whose notification would be larger than an answer may be."""
        made, limit = 0, self._answer_limit

        def make(count: int) -> None:
            nonlocal made
            made += count
            if made > limit:
                raise invalid_request(f"The block is too large to be told: more than {limit} bytes")

        return make


def _mentioning(block: ChainBlock, address: bytes) -> ChainBlock:
    entries = [entry for entry in block.entries if entry.raw and address in addresses_of(entry, executed(entry).parsed)]
    return replace(block, entries=entries)
