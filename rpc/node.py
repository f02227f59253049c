"""The composition root: makes the parts of one RPC server and ends them. Only the runner and tests import it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from celery import Celery
from solders.keypair import Keypair
from starlette.applications import Starlette

import rpc.methods  # noqa: F401 - importing registers the methods
from banking.ledger.async_ledger import AsyncLedger
from banking.ledger.ledger import Ledger
from config.app import app as default_app
from config.settings import Profile, Settings
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.connections import connect, connect_async
from rpc.collaborators import Collaborators
from rpc.context import Context, Indexes, LedgerAccess, NodeInfo, Sending
from rpc.http.server import create_app
from rpc.index.accounts import AccountIndex
from rpc.index.backfill import Backfill
from rpc.index.fees import PriorityFees
from rpc.index.history import History
from rpc.index.largest import LargestAccounts
from rpc.jsonrpc.answer_budget import AnswerBudget
from rpc.jsonrpc.answer_cache import AnswerCache
from rpc.jsonrpc.call_counts import CallCounts
from rpc.jsonrpc.dispatch import Dispatcher
from rpc.jsonrpc.fault_tolerance import FaultTolerance
from rpc.jsonrpc.limits import Limits
from rpc.ledger_access.blocks import BlockReader, BlockSource
from rpc.ledger_access.chain import Chain
from rpc.ledger_access.follower import Follower
from rpc.ledger_access.mints import MintDecimals
from rpc.ledger_access.native import NativeAccounts
from rpc.ledger_access.performance import Performance
from rpc.ledger_access.reader import LedgerReader
from rpc.sandbox.faucet import Faucet
from rpc.sending.sender import Sender
from rpc.sending.simulator import Simulator
from rpc.websocket.hub import Hub
from tasks.submission import Submitter


class RpcNode:
    """One server's parts, made for the ledger that `settings` name. Raises ConfigurationError without a Redis."""

    def __init__(
        self,
        settings: Settings,
        collaborators: Collaborators | None = None,
        *,
        app: Celery = default_app,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        parts = collaborators or Collaborators()
        self._settings = settings
        self._app = app
        ledger = _ledger_access(settings, parts.blocks, clock)
        limits = _limits(settings)
        self.hub = Hub(ledger, clock=clock, answer_limit=settings.rpc.answer_limit)
        self.context = Context(
            settings=settings,
            ledger=ledger,
            indexes=_indexes(settings, ledger.reader, parts.blocks, clock),
            sending=Sending(
                sender=Sender(self._submitter, window=settings.rpc.send_window, queue_limit=settings.rpc.send_queue),
                simulator=Simulator(self._ledger, queue_limit=settings.rpc.send_queue),
                faucet=_faucet(settings),
                limits=limits,
                accepted=self.hub.on_received,
                warp=parts.warp,
            ),
            node=NodeInfo(parts.identity or Keypair(), Performance(ledger.reader), parts.health),
        )
        self.dispatcher = Dispatcher(
            self.context,
            limits=limits,
            answer_budget=AnswerBudget(settings.rpc.answers_limit),
            fault_tolerance=FaultTolerance(
                read_timeout=settings.rpc.read_timeout,
                write_timeout=settings.rpc.write_timeout,
                gate=parts.gate,
                breaker=parts.breaker,
            ),
            answer_cache=AnswerCache(settings.rpc.stale_answers),
            counts=CallCounts(settings.metrics.folder),
        )

    def application(self) -> Starlette:
        """The ASGI application, whose lifespan starts and stops this node."""

        @contextlib.asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            await self.start()
            try:
                yield
            finally:
                await self.stop()

        return create_app(self.dispatcher, self.hub, lifespan)

    async def start(self) -> None:
        """Start following the ledger; returns at once, with or without Redis."""
        chain, follower = self.context.ledger.chain, self.context.indexes.follower
        chain.listeners.append(self.hub.on_tip)
        follower.listeners += [self.hub.on_entries, self.context.indexes.fees.on_entries]
        chain.start()
        follower.start()
        self.context.node.performance.start()
        self.hub.start()
        self.dispatcher.counts.start()

    async def stop(self) -> None:
        """End what `start` started, and close the connections."""
        chain, follower = self.context.ledger.chain, self.context.indexes.follower
        await asyncio.gather(chain.stop(), follower.stop(), self.context.node.performance.stop(), self.hub.stop())
        await self.dispatcher.counts.stop()
        await self.context.ledger.reader.close()
        self.context.sending.simulator.close()
        self.context.sending.sender.close()

    def _ledger(self) -> Ledger:
        timeout = min(self._settings.redis.timeout, self._settings.rpc.write_timeout / 2)
        return Ledger(connect(self._settings.ledger_url(), timeout=timeout), self._settings.ledger.name)

    def _submitter(self) -> Submitter:
        return Submitter(self._ledger(), self._app, self._settings)


def _read_timeout(settings: Settings) -> float:
    return min(settings.redis.timeout, settings.rpc.read_timeout / 4)


def _async_ledger(settings: Settings, *, timeout: float, connections: int = 32) -> AsyncLedger:
    return AsyncLedger(
        connect_async(settings.ledger_url(), timeout=timeout, connections=connections), settings.ledger.name
    )


def _ledger_access(settings: Settings, archive: BlockSource | None, clock: Clock) -> LedgerAccess:
    reader = LedgerReader(_async_ledger(settings, timeout=_read_timeout(settings)))
    chain = Chain(reader, clock=clock)
    return LedgerAccess(reader, chain, BlockReader(reader, chain, archive), NativeAccounts(), MintDecimals(reader))


def _indexes(settings: Settings, reader: LedgerReader, archive: BlockSource | None, clock: Clock) -> Indexes:
    accounts = AccountIndex(settings.rpc.indexed_accounts)
    history = History(settings.rpc.history)
    # A blocking read and a scan of large records may take longer than an answer to a client.
    ledger = _async_ledger(settings, timeout=max(5.0, _read_timeout(settings)), connections=2)
    read_block = archive.read if archive is not None else None
    backfill = Backfill(read_block, history, slots=settings.blocks.history_slots) if read_block is not None else None
    follower = Follower(ledger, reader, accounts, history, backfill, read_block)
    return Indexes(follower, accounts, history, LargestAccounts(reader, clock=clock), PriorityFees())


def _limits(settings: Settings) -> Limits:
    return Limits(
        calls_per_second=settings.rpc.rate_limit,
        airdrops_per_minute=settings.rpc.airdrops_per_minute,
        connections=settings.rpc.connections,
        in_flight=settings.rpc.in_flight,
    )


def _faucet(settings: Settings) -> Faucet | None:
    if settings.profile is Profile.PROD or not settings.rpc.airdrop_limit:
        return None
    return Faucet(settings.data_dir / "faucet.json", settings.rpc.airdrop_limit)
