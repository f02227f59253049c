"""From journal entries and slots to notifications: one task for all connections."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque

from banking.ledger import reads
from banking.ledger.async_ledger import LEDGER_UNREADABLE
from banking.ledger.records import HEADER_SIZE, OWNER_AT
from recovery.clock import Clock
from rpc.cancellation import cancel_and_wait
from rpc.context import LedgerAccess
from rpc.index.filters import passes
from rpc.index.history import addresses_of
from rpc.ledger_access.chain import Tip
from rpc.ledger_access.follower import Followed
from rpc.ledger_access.mints import mints_in
from rpc.ledger_access.rent import exempt
from rpc.websocket.payloads import (
    AccountPayloads,
    logs_payload,
    post,
    received_payload,
    signature_payload,
)
from rpc.websocket.slot_notifier import SlotNotifier
from rpc.websocket.subscription import Subscription
from rpc.websocket.subscription_table import SubscriptionTable

logger = logging.getLogger(__name__)

#: How often, and after how many seconds, a transaction that is on its way is looked for again: 0.1 s together.
_LOOKS, _LOOK_SECONDS = 20, 0.005
#: Seconds that the answer to a subscription waits for a failure to be final.
_SETTLE_SECONDS = 1.0
#: The payload of an entry that waits to be finalized is kept for then, if it is no longer than this.
_KEPT_CHARACTERS = 1_024
#: Entries that wait to be finalized; beyond this the oldest are dropped, loudly.
_MAX_UNSETTLED = 100_000


class Hub:
    """Holds all subscriptions and sends them their notifications in order."""

    def __init__(self, ledger: LedgerAccess, *, clock: Clock, answer_limit: int) -> None:
        self._ledger = ledger
        self.table = SubscriptionTable()
        self._ids = itertools.count(1)
        self._events: deque[list[Followed] | tuple[Tip | None, Tip]] = deque()
        self._wake = asyncio.Event()
        self._unsettled: deque[Followed] = deque()
        self._finalized = 0
        self._epoch = 0
        self._slots = SlotNotifier(ledger, self.table, clock=clock, answer_limit=answer_limit)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="rpc-hub")

    async def stop(self) -> None:
        await cancel_and_wait(self._task)

    def next_id(self) -> int:
        return next(self._ids)

    def add(self, subscription: Subscription) -> None:
        self.table.add(subscription)

    def remove(self, subscription: Subscription) -> None:
        subscription.done = True
        self.table.remove(subscription)

    def on_entries(self, entries: list[Followed]) -> None:
        """Listener of the follower."""
        self._events.append(entries)
        self._wake.set()

    def on_tip(self, old: Tip | None, tip: Tip) -> None:
        """Listener of the chain."""
        self._events.append((old, tip))
        self._wake.set()

    def on_received(self, signature: bytes) -> None:
        """A transaction was accepted by this server."""
        for subscription in self.table.find("signature", signature):
            self._send_received(subscription)

    async def settle_failure(self, subscription: Subscription) -> None:
        """Wait, before a signature subscription is answered, until a failure that is there can be told.

        web3.js asks for the status as soon as its subscription stands, and throws a failure that it finds by itself;
        a notification in time gives the error to whoever awaits it. On Solana nothing is processed that early.
        """
        if subscription.kind != "signature":
            return
        recorded, unresolved = reads.outcome(subscription.topic), reads.is_unresolved(subscription.topic)
        for _ in range(_LOOKS):
            snapshot = await self._ledger.reader.read(recorded, unresolved)
            outcome = snapshot.answer(recorded)
            if outcome is not None or not snapshot.answer(unresolved):
                break
            await asyncio.sleep(_LOOK_SECONDS)
        if outcome is None or outcome.ok or not subscription.commitment.settled or outcome.slot <= snapshot.finalized:
            return
        await self._ledger.chain.wait_finalized(snapshot, _SETTLE_SECONDS)

    async def catch_up(self, subscription: Subscription) -> None:
        """Notify a new signature subscription of what happened before it. Other kinds begin with what comes next."""
        if subscription.kind != "signature":
            return
        recorded, unresolved = reads.outcome(subscription.topic), reads.is_unresolved(subscription.topic)
        snapshot = await self._ledger.reader.read(recorded, unresolved)
        outcome = snapshot.answer(recorded)
        if outcome is None:
            if snapshot.answer(unresolved):
                self._send_received(subscription)
            return
        self._send_received(subscription)
        if not subscription.commitment.settled or outcome.slot <= snapshot.finalized:
            self._send_signature(subscription, outcome.slot, outcome.err)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._events:
                event = self._events.popleft()
                try:
                    await self._take(event)
                except LEDGER_UNREADABLE as error:
                    logger.warning("Subscribers missed something: %s", error)
                except Exception:
                    logger.exception("Subscribers missed something")
                # A burst must not starve the requests.
                await asyncio.sleep(0)

    async def _take(self, event: list[Followed] | tuple[Tip | None, Tip]) -> None:
        if isinstance(event, list):
            await self._notify(event, settled=False)
            self._slots.count(event)
            self._unsettled.extend(event)
            await self._settle()
            return
        old, tip = event
        if tip.epoch != self._epoch:
            # A restore: what was not finalized may never be.
            self._unsettled.clear()
            self._epoch = tip.epoch
        self._finalized = tip.finalized
        await self._settle()
        await self._slots.notify(old, tip)

    async def _settle(self) -> None:
        ready = []
        while self._unsettled and self._unsettled[0].entry.slot <= self._finalized:
            ready.append(self._unsettled.popleft())
        if ready:
            await self._notify(ready, settled=True)
        dropped = len(self._unsettled) - _MAX_UNSETTLED
        if dropped > 0:
            logger.warning("Sealing is late: subscribers will not be told that %d transactions settled", dropped)
            for _ in range(dropped):
                self._unsettled.popleft()

    async def _notify(self, entries: list[Followed], *, settled: bool) -> None:
        if not len(self.table):
            return
        for followed in entries:
            if followed.parsed is not None:
                self._notify_signature(followed, settled)
                if followed.entry.included:
                    self._notify_logs(followed, settled)
        await self._notify_accounts(entries, settled)

    def _notify_signature(self, followed: Followed, settled: bool) -> None:
        for subscription in self.table.find("signature", followed.entry.signature):
            self._send_received(subscription, followed.entry.slot)
            if subscription.commitment.settled is settled:
                self._send_signature(subscription, followed.entry.slot, followed.entry.outcome.err)

    def _notify_logs(self, followed: Followed, settled: bool) -> None:
        if not self.table.any("logs") or followed.parsed is None:
            return
        wanted = self.table.find("logs", settled=settled)
        if self.table.any_topic("logs"):
            for address in addresses_of(followed.entry, followed.parsed):
                wanted += self.table.find("logs", address, settled=settled)
        if wanted:
            text = followed.logs_text or logs_payload(followed)
            if len(text) <= _KEPT_CHARACTERS:
                followed.logs_text = text
            for subscription in wanted:
                post(subscription, text)

    async def _notify_accounts(self, entries: list[Followed], settled: bool) -> None:
        if not (self.table.any("account") or self.table.any("program")):
            return
        # Within a slot only the last state of an account is sent, as Agave does with its banks.
        latest: dict[tuple[int, bytes], bytes] = {}
        for followed in entries:
            for key, record in followed.writes.items():
                latest.pop((followed.entry.slot, key), None)
                latest[followed.entry.slot, key] = exempt(record)
        wanted = []
        for (slot, key), record in latest.items():
            subscribed = self.table.find("account", key, settled=settled)
            program = record[OWNER_AT:HEADER_SIZE]
            of_program = self.table.find("program", program, settled=settled) if record else []
            subscribed += [candidate for candidate in of_program if passes(candidate.filters, record)]
            if subscribed:
                wanted.append((slot, key, record, subscribed))
        if not wanted:
            return
        parsed = any(subscription.encoding.parsed for *_, subscribed in wanted for subscription in subscribed)
        decimals = await self._ledger.decimals.of(mints_in([w[2] for w in wanted])) if parsed else {}
        for slot, key, record, subscribed in wanted:
            payloads = AccountPayloads(key, record, slot, decimals)
            for subscription in subscribed:
                post(subscription, payloads.get(subscription.kind, subscription.encoding))

    def _send_received(self, subscription: Subscription, slot: int | None = None) -> None:
        if not subscription.wants_received or subscription.received_sent or subscription.done:
            return
        subscription.received_sent = True
        tip = self._ledger.chain.tip
        post(subscription, received_payload(slot or (tip.slot if tip is not None else 0)))

    def _send_signature(self, subscription: Subscription, slot: int, err: str | None) -> None:
        if subscription.done:
            return
        post(subscription, signature_payload(slot, err))
        # The last word on this signature ends the subscription.
        self.remove(subscription)
