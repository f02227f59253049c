"""What the durability tests run in processes of their own: one action on a ledger in a real Redis and real files."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from banking.blocks.sealer import Sealer
from banking.blocks.store import BlockStore
from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage
from banking.ledger.ledger import Ledger
from banking.restore.ledger_recovery import LedgerRecovery
from banking.transaction import verify
from recovery import crash_points
from recovery.archive import LocalArchive
from recovery.connections import connect
from recovery.identity import Identity

LEDGER = "test"


@dataclass(frozen=True)
class Place:
    """Where a ledger is: its Redis, and the folder of its archive and key."""

    url: str
    folder: Path

    def archive(self) -> LocalArchive:
        return LocalArchive(self.folder / "archive", orphan_seconds=0)

    def blocks(self) -> BlockStore:
        return BlockStore(self.archive(), LEDGER, Identity.load_or_create(self.folder / "identity.json"))

    def ledger(self) -> Ledger:
        return Ledger(connect(self.url, timeout=30), LEDGER)

    def ledger_recovery(self) -> LedgerRecovery:
        return LedgerRecovery(self.ledger(), self.blocks())


def seal(place: Place) -> None:
    sealer = Sealer(place.ledger(), place.blocks())
    sealer.seal()
    sealer.prune()


def pay(place: Place) -> None:
    """Process the transaction in the file `transaction`."""
    transaction = verify((place.folder / "wire").read_bytes())
    BankingStage(place.ledger(), SvmExecutor()).process([transaction])


def seal_often(place: Place) -> None:
    """Twenty slots, as a busy maintenance worker beside others."""
    sealer = Sealer(place.ledger(), place.blocks())
    for _ in range(20):
        sealer.seal()


def checkpoint(place: Place) -> None:
    place.ledger_recovery().create_checkpoint()


def clean_up(place: Place) -> None:
    place.ledger_recovery().clean_up(keep=3, history_slots=0)


def ensure(place: Place) -> None:
    """As at boot: return when the ledger may be served."""
    place.ledger_recovery().ensure_consistent()


def ensure_or_leave(place: Place) -> None:
    """As the seal task does: one look, one attempt."""
    place.ledger_recovery().ensure_consistent(keep_waiting=lambda _: False)


ACTIONS: dict[str, Callable[[Place], None]] = {
    action.__name__: action for action in (pay, seal, seal_often, checkpoint, clean_up, ensure, ensure_or_leave)
}


def run(action: str, place: Place, armed: str = "", stop: bool = False) -> None:
    """One action in this process, which is killed at the `armed` points, or with `stop` stopped there."""
    crash_points.arm(armed)
    if stop:
        vars(crash_points)["signal"] = SimpleNamespace(SIGKILL=signal.SIGSTOP)
    ACTIONS[action](place)
