"""The parts of the project that stand around the server, as the server wants them."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

import redis
from solders.keypair import Keypair

from banking.blocks.block import Block
from banking.blocks.store import BlockStore
from banking.errors import BadBlock, LedgerUnavailable
from banking.from_settings import open_blocks
from banking.ledger.keys import key_prefix
from banking.ledger.worker_registry import WorkerRegistry
from config.queues import MAINTENANCE, TRANSACTIONS
from config.settings import Settings
from recovery.archive import ArchiveError, NotFound
from recovery.breaker import CircuitBreaker, CircuitBreakerConfig
from recovery.breaker.events import BreakerEvent
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.connections import connect
from recovery.protocols import AsyncBreakerProtocol, GateProtocol
from rpc.context import HealthProtocol
from rpc.ledger_access.blocks import BlockSource
from tasks.modes import open_modes

logger = logging.getLogger(__name__)

RPC_BREAKER = "rpc"
_OPEN_SECONDS = 2.0
_CACHED_BLOCKS = 64
#: Uncompressed; a block has at most 120 MiB.
_CACHED_BYTES = 256 * 1024 * 1024
_FIRST_SLOT_AGE = 10.0


@dataclass(frozen=True, slots=True)
class Collaborators:
    """What stands around a server; without one of them the server does without what it is for."""

    gate: GateProtocol | None = None
    breaker: AsyncBreakerProtocol | None = None
    blocks: BlockSource | None = None
    health: HealthProtocol | None = None
    #: None: a new one.
    identity: Keypair | None = None


def default_collaborators(settings: Settings) -> Collaborators:
    """All of them, as `settings` say.

    Raises ConfigurationError, ArchiveError.
    """
    prefix = key_prefix(settings.ledger)
    url = settings.ledger_url()
    blocks = open_blocks(settings)
    return Collaborators(
        gate=open_modes(settings),
        breaker=CircuitBreaker(
            RPC_BREAKER,
            # The seed's ten seconds would be most of an outage: clients are to be served again within five.
            CircuitBreakerConfig.preset("rpc", timeout=_OPEN_SECONDS),
            redis=url,
            namespace=prefix,
            failure=is_outage,
            listeners=(_log,),
        ),
        blocks=ArchivedBlocks(blocks),
        identity=Keypair.from_json(blocks.identity.to_json()),
        health=WorkerHealth(WorkerRegistry(connect(url, timeout=min(1.0, settings.redis_timeout)), settings.ledger)),
    )


def is_outage(error: BaseException) -> bool:
    """What the breaker counts: a ledger that does not answer. A client's mistakes say nothing about it."""
    return isinstance(error, LedgerUnavailable | TimeoutError | redis.ConnectionError | redis.TimeoutError)


def _log(event: BreakerEvent) -> None:
    # The broker is on the same Redis, as a rule: no news can be sent of its absence.
    logger.warning("Breaker %s: %s -> %s %s", event.name, event.before, event.after, event.reason)


class ArchivedBlocks:
    """Blocks of the archive, the ones read last kept at hand. For use from several threads."""

    def __init__(self, store: BlockStore, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._store = store
        self._clock = clock
        self._lock = Lock()
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        self._bytes = 0
        self._first: tuple[float, int | None] = (float("-inf"), None)

    def read(self, slot: int) -> Block | None:
        """The verified block, None when there is none (any more). A damaged one is not served."""
        with self._lock:
            if (cached := self._blocks.get(slot)) is not None:
                self._blocks.move_to_end(slot)
                return cached
        try:
            block = self._store.read(slot)
        except NotFound:
            return None
        except BadBlock as error:
            logger.warning("Not served: %s", error)
            return None
        except ArchiveError as error:
            raise LedgerUnavailable(f"The archive does not answer: {error}") from error
        with self._lock:
            if slot not in self._blocks:
                self._bytes += block.header.body_bytes
            self._blocks[slot] = block
            while len(self._blocks) > _CACHED_BLOCKS or (self._bytes > _CACHED_BYTES and len(self._blocks) > 1):
                _, dropped = self._blocks.popitem(last=False)
                self._bytes -= dropped.header.body_bytes
        return block

    def first_slot(self) -> int | None:
        """The oldest slot with a block, at most ten seconds old."""
        looked_at, first = self._first
        now = self._clock.monotonic()
        if now - looked_at > _FIRST_SLOT_AGE:
            try:
                first = next(iter(self._store.slots()), None)
            except ArchiveError as error:
                raise LedgerUnavailable(f"The archive does not answer: {error}") from error
            self._first = (now, first)
        return first


class WorkerHealth:
    """Whether workers consume, as the registry of workers has it."""

    def __init__(self, registry: WorkerRegistry) -> None:
        self._registry = registry

    def problem(self) -> str | None:
        """What is wrong, None when both queues are consumed. Raises LedgerUnavailable."""
        try:
            workers = self._registry.consuming()
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise LedgerUnavailable(f"Redis does not answer: {error}") from error
        consumed = {queue for worker in workers for queue in worker.queues}
        missing = [queue for queue in (TRANSACTIONS, MAINTENANCE) if queue not in consumed]
        return f"no worker consumes {' or '.join(missing)}" if missing else None
