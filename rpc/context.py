"""What a method's handler may use. `rpc.node` makes it; nothing here starts or stops anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from solders.keypair import Keypair

from config.settings import Settings
from rpc.chain import Chain
from rpc.faucet import Faucet
from rpc.follower import Follower
from rpc.index.accounts import AccountIndex
from rpc.index.history import History
from rpc.index.largest import LargestAccounts
from rpc.ledger_blocks import BlockReader
from rpc.limits import Limits
from rpc.mints import MintDecimals
from rpc.native import NativeAccounts
from rpc.performance import Performance
from rpc.reader import LedgerReader
from rpc.sender import Sender
from rpc.simulator import Simulator


class HealthProtocol(Protocol):
    """Says whether the workers behind this server consume and seal."""

    def problem(self) -> str | None:
        """What is wrong, None when all is well. May ask Redis; called in a thread."""


@dataclass(slots=True)
class LedgerAccess:
    """The ledger as it stands: what Redis, the archive and the VM hold."""

    reader: LedgerReader
    chain: Chain
    blocks: BlockReader
    native: NativeAccounts
    decimals: MintDecimals


@dataclass(slots=True)
class Indexes:
    """What is found by other things than its key, as far as `follower` has come."""

    follower: Follower
    accounts: AccountIndex
    history: History
    largest: LargestAccounts


@dataclass(slots=True)
class Sending:
    """The way of a transaction into the ledger, or into the VM alone."""

    sender: Sender
    simulator: Simulator
    #: None: there are no airdrops.
    faucet: Faucet | None
    limits: Limits
    #: Called with the signature of each transaction that was accepted.
    accepted: Callable[[bytes], None]


@dataclass(slots=True)
class NodeInfo:
    """What the node tells about itself. `health` is None when nobody knows the workers."""

    identity: Keypair
    performance: Performance
    health: HealthProtocol | None


@dataclass(slots=True)
class Context:
    """What a method's handler may use."""

    settings: Settings
    ledger: LedgerAccess
    indexes: Indexes
    sending: Sending
    node: NodeInfo
