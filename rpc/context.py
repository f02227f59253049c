"""The parts of the server that a method's handler may use. `rpc.node` makes, starts and stops them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from solders.keypair import Keypair

from config.settings import Settings
from rpc.index.accounts import AccountIndex
from rpc.index.fees import PriorityFees
from rpc.index.history import History
from rpc.index.largest import LargestAccounts
from rpc.jsonrpc.limits import Limits
from rpc.ledger_access.blocks import BlockReader
from rpc.ledger_access.chain import Chain
from rpc.ledger_access.follower import Follower
from rpc.ledger_access.mints import MintDecimals
from rpc.ledger_access.native import NativeAccounts
from rpc.ledger_access.performance import Performance
from rpc.ledger_access.reader import LedgerReader
from rpc.sandbox.faucet import Faucet
from rpc.sending.sender import Sender
from rpc.sending.simulator import Simulator


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
    """Accounts and transactions by other values than their keys, as far as `follower` has come."""

    follower: Follower
    accounts: AccountIndex
    history: History
    largest: LargestAccounts
    fees: PriorityFees


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
    #: Makes a slot the open one, in a thread; None where there is no archive to write into.
    warp: Callable[[int], object] | None = None


@dataclass(slots=True)
class NodeInfo:
    """What the node tells about itself. `health` is None when the workers are not watched."""

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
