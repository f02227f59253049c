"""All that the methods use, made and ended together."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from celery import Celery
from solders.keypair import Keypair

from banking.blocks.block import Block
from banking.ledger.ledger import Ledger
from config.app import app as default_app
from config.settings import Profile, Settings
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.connections import connect
from recovery.protocols import GateProtocol
from rpc.answer_cache import LastGood
from rpc.chain import Chain
from rpc.faucet import Faucet
from rpc.fault_tolerance import AsyncBreakerProtocol, FaultTolerance
from rpc.follower import Follower
from rpc.index.accounts import AccountIndex
from rpc.index.backfill import Backfill
from rpc.index.history import History
from rpc.limits import Limits
from rpc.native import NativeAccounts
from rpc.performance import Performance
from rpc.reader import LedgerReader, async_client
from rpc.room import Room
from rpc.sender import Sender
from rpc.simulator import Simulator
from rpc.websocket.hub import Hub
from tasks.submission import Submitter

logger = logging.getLogger(__name__)


class HealthProtocol(Protocol):
    """Says whether the workers behind this server consume and seal."""

    def problem(self) -> str | None:
        """What is wrong, None when all is well. May ask Redis; called in a thread."""


class BlockSource(Protocol):
    """The archive's blocks. Called in a thread."""

    def read(self, slot: int) -> Block | None:
        """The block of `slot`, None when there is none (any more)."""

    def first_slot(self) -> int | None:
        """The oldest slot that `read` can answer for."""


class Services:
    """One server's parts. `gate`, `breaker`, `blocks` and `health` are plugged in by whoever starts it."""

    def __init__(
        self,
        settings: Settings,
        *,
        app: Celery = default_app,
        gate: GateProtocol | None = None,
        breaker: AsyncBreakerProtocol | None = None,
        blocks: BlockSource | None = None,
        health: HealthProtocol | None = None,
        identity: Keypair | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.clock = clock
        self.settings = settings
        self.app = app
        self.blocks = blocks
        self.health = health
        self.identity = identity or Keypair()
        self.native = NativeAccounts()
        self.last_good = LastGood(settings.rpc_stale_answers)
        self.fault_tolerance = FaultTolerance(
            read_timeout=settings.rpc_read_timeout,
            write_timeout=settings.rpc_write_timeout,
            gate=gate,
            breaker=breaker,
        )
        self.limits = Limits(
            calls_per_second=settings.rpc_rate_limit,
            airdrops_per_minute=settings.rpc_airdrops_per_minute,
            connections=settings.rpc_connections,
            in_flight=settings.rpc_in_flight,
        )
        self.room = Room(settings.rpc_answers_limit)
        faucet_file = settings.data_dir / "faucet.json"
        self.faucet = (
            None
            if settings.profile is Profile.PROD or not settings.rpc_airdrop_limit
            else Faucet(faucet_file, settings.rpc_airdrop_limit)
        )
        url = settings.ledger_url()
        timeout = min(settings.redis_timeout, settings.rpc_read_timeout / 4)
        self.reader = LedgerReader(async_client(url, timeout=timeout), settings.ledger)
        self.chain = Chain(self.reader, clock=clock)
        self.accounts = AccountIndex(settings.rpc_indexed_accounts)
        self.history = History(settings.rpc_history)
        # A blocking read and a scan of large records may take longer than an answer to a client.
        follower_client = async_client(url, timeout=max(5.0, timeout), connections=2)
        backfill = Backfill(blocks.read, self.history, slots=settings.history_slots) if blocks is not None else None
        read_block = blocks.read if blocks is not None else None
        self.follower = Follower(follower_client, self.reader, self.accounts, self.history, backfill, read_block)
        self.performance = Performance(self.reader)
        self.simulator = Simulator(self._ledger, queue_limit=settings.rpc_send_queue)
        self.sender = Sender(self._submitter, window=settings.rpc_send_window, queue_limit=settings.rpc_send_queue)
        self.hub = Hub(self)
        self.decimals: dict[bytes, int] = {}
        #: (when, slot, [(lamports, key)]) of the last getLargestAccounts.
        self.largest: tuple[float, int, list[tuple[int, bytes]]] | None = None
        self.largest_lock = asyncio.Lock()

    async def start(self) -> None:
        """Start following the ledger; returns at once, with or without Redis."""
        self.chain.listeners.append(self.hub.on_tip)
        self.follower.listeners.append(self.hub.on_entries)
        self.chain.start()
        self.follower.start()
        self.performance.start()
        self.hub.start()

    async def stop(self) -> None:
        await asyncio.gather(self.chain.stop(), self.follower.stop(), self.performance.stop(), self.hub.stop())
        await self.reader.close()
        self.simulator.close()
        self.sender.close()

    def _ledger(self) -> Ledger:
        timeout = min(self.settings.redis_timeout, self.settings.rpc_write_timeout / 2)
        return Ledger(connect(self.settings.ledger_url(), timeout=timeout), self.settings.ledger)

    def _submitter(self) -> Submitter:
        return Submitter(self._ledger(), self.app, self.settings)
