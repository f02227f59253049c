"""A ledger in a real Redis server of its own, with its archive in real files, and processes that work on it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
from solders.keypair import Keypair

from banking.audit.audit import audit
from banking.ledger.scan import scan_accounts
from banking.restore.ledger_recovery import LedgerRecovery
from banking.transaction import SignedTransaction
from recovery.connections import connect
from recovery.identity import Identity
from tests.support.durability import scenario
from tests.support.durability.scenario import LEDGER, Place
from tests.support.ledgers import SOL, World, new_world
from tests.support.waiting import wait_until
from workers.supervisor.embedded_redis import EmbeddedRedis

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.support.durability.scenario"])
_SECONDS = 60


@dataclass
class Node:
    """The ledger, and what must never be lost of it."""

    server: EmbeddedRedis
    place: Place
    world: World
    finals: list[SignedTransaction] = field(default_factory=list)
    processes: list[BaseProcess] = field(default_factory=list)

    @property
    def ledger_recovery(self) -> LedgerRecovery:
        return LedgerRecovery(self.world.ledger, self.world.blocks)

    def pay(self, count: int = 1) -> list[SignedTransaction]:
        """Transfers that are processed, and not final yet."""
        transactions = [self.world.transfer(self.world.faucet, Keypair().pubkey(), SOL + n) for n in range(count)]
        self.world.stage.process(transactions)
        return transactions

    def pay_finally(self, count: int = 1) -> list[SignedTransaction]:
        """Transfers in a sealed block: from here on nothing may lose them."""
        transactions = self.pay(count)
        self.world.seal()
        self.finals += transactions
        return transactions

    def accounts(self) -> dict[bytes, bytes]:
        """The records of all accounts."""
        return {key: record for key, _, record in scan_accounts(self.world.ledger)}

    def assert_sound(self) -> None:
        """All invariants hold, and all that was final is there."""
        self.world.ledger.forget_epoch()
        report = audit(self.world.ledger, self.world.blocks)
        assert [f"{check.id}: {check.detail}" for check in report.checks if not check.ok] == []
        outcomes = self.world.ledger.outcomes([transaction.signature for transaction in self.finals])
        assert [outcome for outcome in outcomes if outcome is None or not outcome.ok] == []

    def empty(self) -> None:
        """Lose the whole data set."""
        self.world.ledger.client.flushall()

    def end_lease(self) -> None:
        """As if the time of a dead restorer's lease had run out."""
        self.world.ledger.client.delete(self.world.ledger.keys.restorer)

    # ---- processes

    def begin(self, action: str, armed: str = "", *, stop: bool = False) -> BaseProcess:
        process = CONTEXT.Process(target=scenario.run, args=(action, self.place, armed, stop))
        process.start()
        self.processes.append(process)
        return process

    def finish(self, process: BaseProcess) -> int:
        process.join(_SECONDS)
        assert process.exitcode is not None, "it did not end"
        return process.exitcode

    def run(self, action: str, armed: str = "") -> int:
        """The exit code of one action in a process of its own; negative for a signal."""
        return self.finish(self.begin(action, armed))

    def kill(self, action: str, armed: str) -> None:
        assert self.run(action, armed) == -signal.SIGKILL, f"{armed} was not reached"

    def stop_at(self, action: str, armed: str) -> BaseProcess:
        """A process that stands still at a point (SIGSTOP) until `resume`."""
        process = self.begin(action, armed, stop=True)
        assert process.pid is not None
        watched = psutil.Process(process.pid)
        wait_until(lambda: watched.status() in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}, f"stop at {armed}")
        assert watched.status() == psutil.STATUS_STOPPED, f"{armed} was not reached"
        return process

    def resume(self, process: BaseProcess) -> int:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGCONT)
        return self.finish(process)


@contextmanager
def running_node(server: EmbeddedRedis, folder: Path) -> Iterator[Node]:
    place = Place(server.url, folder)
    place.folder.mkdir()
    client = connect(server.url)
    identity = Identity.load_or_create(place.folder / "identity.json")
    world = new_world(client, LEDGER, archive=place.archive(), identity=identity)
    node = Node(server, place, world)
    node.pay_finally(3)
    yield node
    for process in node.processes:
        if process.is_alive():
            process.kill()
            process.join()
    client.close()
