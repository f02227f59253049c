"""What the benchmarks share: a private Redis, a funded ledger, worker processes, medians with their spread."""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from celery import Celery
from solders.account import Account
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from banking.admin.fork import write_genesis
from banking.admin.genesis import genesis_accounts
from banking.from_settings import open_ledger, open_recovery
from banking.ledger.ledger import Ledger
from banking.ledger.records import lamports_of, pack_account
from config.celery_settings import celery_settings
from config.settings import Settings
from recovery.connections import connect
from workers.supervisor.embedded_redis import EmbeddedRedis

SOL = 10**9
ROOT = Path(__file__).resolve().parent.parent
#: The one payer of a hot account's load.
HOT = 2**31
#: Most accounts that pay; of more, the others are only paid: making a key takes 20 us.
MOST_PAYERS = 5_000


@dataclass
class Bench:
    """A Redis, a ledger on it and the processes that work on it. Everything ends with the context."""

    folder: Path
    client: redis.Redis
    settings: Settings
    environment: dict[str, str]
    stack: ExitStack
    server: EmbeddedRedis
    accounts: list[Keypair] = field(default_factory=list)
    #: Role to the processes that have it, for the accounts of CPU time.
    pids: dict[str, list[int]] = field(default_factory=dict)
    _amounts: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def ledger(self) -> Ledger:
        return open_ledger(self.settings)

    def app(self) -> Celery:
        """A Celery app that publishes to this bench's broker."""
        app = Celery("bench", set_as_current=False)
        app.conf.update(celery_settings(self.settings))
        return app

    def make_ledger(self, accounts: int) -> None:
        """A ledger with `accounts` funded accounts, and the hot one; at most 5,000 of them can pay."""
        self.accounts = [keypair(number) for number in range(min(accounts, MOST_PAYERS))]
        rest = (address(number) for number in range(len(self.accounts), accounts))
        records = genesis_accounts(keypair(HOT).pubkey(), 10**6 * SOL)
        records |= dict.fromkeys((bytes(one.pubkey()) for one in self.accounts), _FUNDED)
        records |= dict.fromkeys(rest, _FUNDED)
        # That the ledger is not in Redis yet, and is restored, is no news here.
        logging.getLogger("banking.restore").setLevel(logging.ERROR)
        recovery = open_recovery(self.settings)
        write_genesis(recovery.blocks, sorted(records.items()), sum(map(lamports_of, records.values())))
        recovery.ensure_consistent()

    def transfers(self, count: int, *, payer: Keypair | None = None) -> list[bytes]:
        """Signed transfers among the accounts, or all from `payer`. No two are equal: that would be one transaction."""
        blockhash = Hash.from_bytes(self.ledger.state().blockhash)
        chosen = (random.sample(self.accounts, 2) for _ in range(count))
        return [
            bytes(pay(payer or source, target.pubkey(), next(self._amounts), blockhash)) for source, target in chosen
        ]

    def worker(
        self, app: str, queue: str, *, processes: int, extra: Sequence[str] = (), role: str = ""
    ) -> subprocess.Popen[bytes]:
        """Start a Celery worker with `processes` pool processes."""
        name = f"{queue}{random.randrange(10**6)}"
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "-Q", queue, "-c", str(processes)]
        # As `trunkline up` starts them.
        quiet = ("--without-gossip", "--without-mingle", "-l", "WARNING")
        return self.process([*command, "-n", f"{name}@%h", *quiet, *extra], name, role=role or "worker")

    def upkeep(self) -> None:
        """Start beat and the maintenance worker: sealing, checkpoints, pruning, as `trunkline up` does."""
        self.worker("workers.app", "maintenance", processes=2, role="maintenance")
        self.process([sys.executable, "-m", "celery", "-A", "workers.app", "beat", "-l", "WARNING"], "beat")

    def process(self, command: Sequence[str], name: str, *, role: str = "") -> subprocess.Popen[bytes]:
        """Start a process that ends with the bench; its CPU time counts for `role` (its name unless given)."""
        log = self.stack.enter_context((self.folder / f"{name}.log").open("wb"))
        process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)
        self.stack.callback(stop, process)
        self.pids.setdefault(role or name, []).append(process.pid)
        return process


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a worker, gently first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def keypair(number: int) -> Keypair:
    """The same in every process, so that none has to be sent."""
    return Keypair.from_seed(address(number))


def address(number: int) -> bytes:
    """32 bytes that stand for account `number` where it needs no key."""
    return hashlib.sha256(b"benchmark %d" % number).digest()


_FUNDED = pack_account(Account(lamports=100 * SOL, data=b"", owner=Pubkey.default(), executable=False))


def pay(source: Keypair, target: Pubkey, lamports: int, blockhash: Hash) -> VersionedTransaction:
    """A signed transfer."""
    params = TransferParams(from_pubkey=source.pubkey(), to_pubkey=target, lamports=lamports)
    message = Message.new_with_blockhash([transfer(params)], source.pubkey(), blockhash)
    return VersionedTransaction(message, [source])


@contextmanager
def bench(**options: Any) -> Iterator[Bench]:
    """A fresh bench in a temporary folder; `options` are settings."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trunkline-bench-")))
        server = EmbeddedRedis(folder / "redis")
        server.start()
        stack.callback(server.stop)
        values = {"data_dir": folder / "data", "redis_url": server.url, **options}
        settings = Settings.from_variables(**values)
        environment = dict(os.environ)
        environment |= {f"TRUNKLINE_{name.upper()}": str(value) for name, value in values.items()}
        client = stack.enter_context(connect(server.url))
        yield Bench(folder, client, settings, environment, stack, server)


def rate(progress: Callable[[], int], total: int, *, timeout: float = 120.0, skip: float = 0.1) -> float:
    """How many a second between the first tenth (`skip`) and the end. Raises TimeoutError when it stalls."""
    deadline = time.monotonic() + timeout
    first: tuple[float, int] | None = None
    while time.monotonic() < deadline:
        done, now = progress(), time.monotonic()
        if first is None and done >= skip * total:
            first = (now, done)
        if done >= total:
            start, at = first or (now, done)
            return (done - at) / (now - start) if now > start else float("nan")
        time.sleep(0.002)
    raise TimeoutError(f"only {progress()} of {total} after {timeout:g} s")


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
