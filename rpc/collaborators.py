"""What the server uses of the project: degradation gate, breaker, archived blocks, health of the workers, identity."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import redis
from solders.keypair import Keypair

from banking.admin.warp import warp
from banking.blocks.sealer import Sealer
from banking.blocks.store import BlockStore
from banking.errors import LedgerUnavailable
from banking.from_settings import open_blocks, read_blocks
from banking.ledger.keys import key_prefix
from banking.ledger.ledger import Ledger
from banking.ledger.worker_registry import WorkerRegistry
from config.errors import ConfigurationError
from config.queues import MAINTENANCE, TRANSACTIONS
from config.settings import Profile, Settings
from recovery.breaker import CircuitBreaker, CircuitBreakerConfig
from recovery.breaker.events import BreakerEvent
from recovery.connections import connect
from recovery.errors import ConfigurationError as UnusableIdentity
from recovery.protocols import AsyncBreakerProtocol, GateProtocol
from rpc.context import HealthProtocol
from rpc.ledger_access.archived_blocks import ArchivedBlocks
from rpc.ledger_access.blocks import BlockSource
from tasks.modes import open_modes

logger = logging.getLogger(__name__)

RPC_BREAKER = "rpc"
#: The circuit stays open this long: one call is let through then, over the whole fleet, which costs a dead server
#: nothing, and clients are served again at once when it returns.
_OPEN_SECONDS = 0.5
#: A probe that has not come back by then is taken as lost, as when its server was killed; another one costs little.
_PROBE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Collaborators:
    """What stands around a server; without one of them the server runs without its function."""

    gate: GateProtocol | None = None
    breaker: AsyncBreakerProtocol | None = None
    blocks: BlockSource | None = None
    health: HealthProtocol | None = None
    #: None: a new one.
    identity: Keypair | None = None
    #: Makes a slot the open one: for sandboxes.
    warp: Callable[[int], object] | None = None


def default_collaborators(settings: Settings) -> Collaborators:
    """All of them, as `settings` say.

    Raises ConfigurationError, ArchiveError.
    """
    prefix = key_prefix(settings.ledger.name)
    url = settings.ledger_url()
    blocks, identity = _blocks_and_identity(settings)
    return Collaborators(
        gate=open_modes(settings),
        breaker=CircuitBreaker(
            RPC_BREAKER,
            # The preset's ten seconds would be most of an outage.
            CircuitBreakerConfig.preset("rpc", timeout=_OPEN_SECONDS, probe_lease=_PROBE_SECONDS),
            redis=url,
            namespace=prefix,
            failure=is_outage,
            listeners=(_log,),
        ),
        blocks=ArchivedBlocks(blocks),
        identity=identity,
        health=WorkerHealth(
            WorkerRegistry(connect(url, timeout=min(1.0, settings.redis.timeout)), settings.ledger.name)
        ),
        # Whoever writes blocks must be able to sign them.
        warp=None if settings.profile is Profile.PROD or identity is None else partial(_warp, settings, blocks),
    )


def _warp(settings: Settings, blocks: BlockStore, slot: int) -> None:
    """Raises WarpRefused, and what `Sealer.seal` raises."""
    with connect(settings.ledger_url(), timeout=settings.redis.timeout) as client:
        ledger = Ledger(client, settings.ledger.name)
        warp(ledger, Sealer(ledger, blocks), slot)


def _blocks_and_identity(settings: Settings) -> tuple[BlockStore, Keypair | None]:
    """A server that listens to the world needs no key that signs blocks: without one, the trusted keys are enough."""
    if settings.archive.trusted_keys and not settings.identity_path().exists():
        return read_blocks(settings), None
    try:
        blocks = open_blocks(settings)
    except UnusableIdentity as error:
        raise ConfigurationError(
            f"{error}. On a host without the key, put the public key that signs the blocks into TRUNKLINE_TRUSTED_KEYS "
            "(`trunkline init` prints it)."
        ) from error
    return blocks, Keypair.from_json(blocks.identity.to_json())


def is_outage(error: BaseException) -> bool:
    """What the breaker counts: a ledger that does not answer. A client's mistakes say nothing about it."""
    return isinstance(error, LedgerUnavailable | TimeoutError | redis.ConnectionError | redis.TimeoutError)


def _log(event: BreakerEvent) -> None:
    # The broker is usually on the same Redis, so no event can be published when it is away.
    logger.warning("Breaker %s: %s -> %s %s", event.name, event.before, event.after, event.reason)


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
