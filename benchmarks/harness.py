"""What the benchmarks share: a private Redis, a funded ledger, worker processes, medians with their spread."""

from __future__ import annotations

import itertools
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
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from banking.admin.genesis import create_ledger, genesis_accounts
from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage
from banking.from_settings import open_blocks, open_ledger
from banking.ledger.ledger import Ledger
from banking.transaction import verify
from config.celery_settings import celery_settings
from config.settings import Settings
from recovery.connections import connect
from workers.supervisor.embedded_redis import EmbeddedRedis

SOL = 10**9
ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Bench:
    """A Redis, a ledger on it and the processes that work on it. Everything ends with the context."""

    folder: Path
    client: redis.Redis
    settings: Settings
    environment: dict[str, str]
    stack: ExitStack
    faucet: Keypair = field(default_factory=Keypair)
    accounts: list[Keypair] = field(default_factory=list)
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
        """A ledger with `accounts` funded accounts."""
        ledger = self.ledger
        create_ledger(ledger, open_blocks(self.settings), genesis_accounts(self.faucet.pubkey(), 10**9 * SOL))
        stage = BankingStage(ledger, SvmExecutor())
        self.accounts = [Keypair() for _ in range(accounts)]
        blockhash = Hash.from_bytes(ledger.state().blockhash)
        for first in range(0, accounts, 64):
            some = self.accounts[first : first + 64]
            stage.process([verify(bytes(pay(self.faucet, one.pubkey(), 100 * SOL, blockhash))) for one in some])

    def transfers(self, count: int, *, payer: Keypair | None = None) -> list[bytes]:
        """Signed transfers among the accounts, or all from `payer`. No two are equal: that would be one transaction."""
        blockhash = Hash.from_bytes(self.ledger.state().blockhash)
        chosen = (random.sample(self.accounts, 2) for _ in range(count))
        return [
            bytes(pay(payer or source, target.pubkey(), next(self._amounts), blockhash)) for source, target in chosen
        ]

    def worker(self, app: str, queue: str, *, processes: int, extra: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start a Celery worker with `processes` pool processes."""
        name = f"{queue}{random.randrange(10**6)}"
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "-Q", queue, "-c", str(processes)]
        return self.process([*command, "-n", f"{name}@%h", "-l", "WARNING", *extra], name)

    def process(self, command: Sequence[str], name: str) -> subprocess.Popen[bytes]:
        """Start a process that ends with the bench."""
        log = self.stack.enter_context((self.folder / f"{name}.log").open("wb"))
        process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)
        self.stack.callback(stop, process)
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
        yield Bench(folder, client, settings, environment, stack)


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
