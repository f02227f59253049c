"""A whole pipeline of real processes for tests: workers, beat, producers, and what must hold when all is done."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import psutil
from celery import Celery
from solders.hash import Hash
from solders.keypair import Keypair

from banking.admin.genesis import create_ledger, genesis_accounts
from banking.from_settings import open_blocks
from banking.intake.dead_letters import TRANSACTION, TransactionDeadLetters
from banking.intake.intake import Intake
from banking.ledger.connections import ledger_client
from banking.ledger.journal import read_journal
from banking.ledger.ledger import Ledger
from banking.ledger.records import lamports_of
from banking.transaction import SignedTransaction, verify
from config.celery_settings import celery_settings
from config.queues import PROCESS, PROCESS_BATCH, TRANSACTIONS
from config.settings import Settings
from recovery.dead_letters import DeadLetter
from tasks.submission import Submitter
from tests.support.ledgers import GENESIS_LAMPORTS, SOL, transfer_transaction
from tests.support.paths import ROOT
from tests.support.waiting import wait_until

#: A busy machine may need this long for what takes a second or two.
PATIENCE = 60.0


class WorkerProcess:
    """One `celery worker` in a process group of its own, with its output in `log`."""

    def __init__(self, log: Path, arguments: Sequence[str], environment: dict[str, str]) -> None:
        self.log = log
        command = [sys.executable, "-m", "celery", "-A", "workers.app", "worker", *arguments]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def children(self) -> list[psutil.Process]:
        """The pool's processes."""
        return psutil.Process(self.pid).children()

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_ready(self) -> None:
        """Return once it consumes."""
        wait_until(
            lambda: not self.alive() or " ready." in self.output(), f"worker ready\n{self.log}", timeout=PATIENCE
        )
        assert " ready." in self.output(), self.output()[-3000:]

    def pause(self) -> None:
        """SIGSTOP to the worker and its children."""
        self._signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_group(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to the worker and all its children, as a power cut would."""
        self._signal_group(signal.SIGKILL)
        self._process.wait()

    def wait_gone_or(self, condition: Callable[[], bool]) -> None:
        """Return once the worker has ended by itself, or `condition()` holds."""
        wait_until(lambda: not self.alive() or condition(), f"end of the worker\n{self.log}", timeout=PATIENCE)

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return


class Pipeline:
    """A ledger with a funded faucet, producers and workers. `options` are settings by their names."""

    def __init__(self, folder: Path, redis_url: str, broker_url: str = "", **options: object) -> None:
        self.folder = folder
        values: dict[str, Any] = {
            "data_dir": folder / "data",
            "redis_url": redis_url,
            "broker_url": broker_url,
            "sweep_interval": 0.5,
            "sweep_grace": 1.0,
            **options,
        }
        self._environment = {f"TRUNKLINE_{name.upper()}": str(value) for name, value in values.items() if value}
        self._connect(Settings.from_variables(**values))
        self.faucet = Keypair()
        self.workers: list[WorkerProcess] = []
        self.blocks = open_blocks(self.settings)
        create_ledger(self.ledger, self.blocks, genesis_accounts(self.faucet.pubkey(), GENESIS_LAMPORTS))

    @classmethod
    def attach(cls, other: Pipeline) -> Pipeline:
        """A producer with connections of its own on `other`'s ledger, for a forked process."""
        attached = cls.__new__(cls)
        attached._connect(other.settings)
        return attached

    def _connect(self, settings: Settings) -> None:
        self.settings = settings
        self.app = Celery("test-producer", set_as_current=False)
        self.app.conf.update(celery_settings(settings))
        self.client = ledger_client(settings)
        self.ledger = Ledger(self.client, settings.ledger.name)
        self.intake = Intake(self.ledger, limit=settings.intake.limit)
        self.dead_letters = TransactionDeadLetters(self.ledger)
        self.submitter = Submitter(self.ledger, self.app, settings)

    # ---- producing

    def blockhash(self) -> Hash:
        return Hash.from_bytes(self.ledger.state().blockhash)

    def transfers(self, count: int, *, payers: Sequence[Keypair] = ()) -> list[SignedTransaction]:
        """Distinct signed transfers of 1 SOL and a bit to new accounts, in turn from `payers` (else the faucet)."""
        blockhash = self.blockhash()
        sources = payers or [self.faucet]
        return [
            verify(
                bytes(
                    transfer_transaction(
                        sources[number % len(sources)], Keypair().pubkey(), SOL // 100 + number, blockhash
                    )
                )
            )
            for number in range(count)
        ]

    def submit(self, transactions: Sequence[SignedTransaction]) -> None:
        """Submit, and insist that every one is accepted."""
        receipts = self.submitter.submit([transaction.raw for transaction in transactions])
        assert [receipt.verdict for receipt in receipts] == ["accepted"] * len(transactions), receipts

    def send_bare(self, transactions: Sequence[SignedTransaction], *, each: bool = False) -> None:
        """As a client that knows nothing but Celery: one message of all, or with `each` one for each."""
        texts = [base64.b64encode(transaction.raw).decode() for transaction in transactions]
        if not each:
            self.app.send_task(PROCESS_BATCH, args=(texts,))
            return
        with Celery(broker=self.settings.celery_url(), set_as_current=False) as stranger:
            # All that it must know of RabbitMQ; on Redis there is no such thing.
            stranger.conf.task_create_missing_queue_type = "quorum"
            for text in texts:
                stranger.send_task(PROCESS, [text], queue=TRANSACTIONS)

    def fund(self, count: int, lamports: int = 10 * SOL) -> list[Keypair]:
        """New accounts with `lamports` each, through the pipeline itself."""
        keypairs = [Keypair() for _ in range(count)]
        blockhash = self.blockhash()
        raws = [bytes(transfer_transaction(self.faucet, k.pubkey(), lamports, blockhash)) for k in keypairs]
        receipts = self.submitter.submit(raws, wait="processed", timeout=PATIENCE)
        assert all(receipt.outcome and receipt.outcome.ok for receipt in receipts)
        return keypairs

    # ---- processes

    def start_worker(
        self,
        name: str = "tx",
        *,
        queues: str = "transactions",
        ready: bool = True,
        pool: str = "prefork",
        extra: Sequence[str] = (),
        **options: Any,
    ) -> WorkerProcess:
        """A worker of its own process group; `options` are settings for it alone."""
        number = len(self.workers)
        environment = {**self._environment, **{f"TRUNKLINE_{k.upper()}": str(v) for k, v in options.items()}}
        arguments = ["-n", f"{name}{number}@test", "-Q", queues, "-P", pool, "-l", "INFO", *extra]
        arguments += ["--without-gossip", "--without-mingle"]
        worker = WorkerProcess(self.folder / f"worker{number}.log", arguments, environment)
        self.workers.append(worker)
        if ready:
            worker.wait_ready()
        return worker

    def start(
        self, workers: int = 2, *, pool: str = "prefork", extra: Sequence[str] = (), **options: Any
    ) -> list[WorkerProcess]:
        """Transaction workers, and a maintenance worker with beat in it; returns the former."""
        started = [self.start_worker(ready=False, pool=pool, extra=extra, **options) for _ in range(workers)]
        maintenance = self.start_worker("maintenance", queues="maintenance", pool="solo", extra=["-B"], ready=False)
        for worker in (*started, maintenance):
            worker.wait_ready()
        return started

    def close(self) -> None:
        """End what was started here, and only that."""
        for worker in self.workers:
            worker.kill()
        self.app.close()
        self.client.close()

    def assert_alive(self, workers: Sequence[WorkerProcess]) -> None:
        """None of them has ended; else the end of its log is shown."""
        for worker in workers:
            assert worker.alive(), worker.output()[-5000:]

    def logs(self) -> str:
        """The end of every worker's log, for the message of a failure."""
        return "\n".join(f"--- {w.log.name}\n{w.output()[-4000:]}" for w in self.workers)

    # ---- what became of it

    def resolved(self) -> int:
        state = self.ledger.state()
        return state.processed + state.failed

    def letters(self) -> list[DeadLetter]:
        """Dead letters of transactions."""
        return [letter for letter in self.dead_letters.letters.list(limit=10_000) if letter.kind == TRANSACTION]

    def foreign_letters(self) -> list[DeadLetter]:
        """Dead letters of messages that were no transactions."""
        return [letter for letter in self.dead_letters.letters.list(limit=10_000) if letter.kind != TRANSACTION]

    def wait_settled(self, transactions: Sequence[SignedTransaction], timeout: float = PATIENCE) -> float:
        """Return once every one of `transactions` has its end and intake is empty; returns the seconds it took."""
        began = time.monotonic()
        signatures = [transaction.signature for transaction in transactions]

        def settled() -> bool:
            keys = self.ledger.keys
            if self.client.exists(keys.intake, keys.queued, keys.parked, keys.attempts):
                return False
            dead = {letter.id for letter in self.letters()}
            outcomes = self.ledger.outcomes(signatures)
            return all(o or s in dead for s, o in zip(signatures, outcomes, strict=True))

        try:
            wait_until(settled, "every transaction has its end and intake is empty", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.describe()}\n{self.logs()}") from None
        return time.monotonic() - began

    def describe(self) -> str:
        keys = self.ledger.keys
        counts = {
            "intake": self.client.hlen(keys.intake),
            "queued": self.client.zcard(keys.queued),
            "parked": self.client.zcard(keys.parked),
            "attempts": self.client.hgetall(keys.attempts),
            "dead": self.client.hlen(keys.dead),
        }
        return f"{counts} {self.ledger.state()}"

    def assert_sound(self, transactions: Sequence[SignedTransaction], timeout: float = PATIENCE) -> None:
        """The promises: one end for each of `transactions`, nothing left over, and every lamport accounted for."""
        self.wait_settled(transactions, timeout)
        dead = {letter.id for letter in self.letters()}
        outcomes = self.ledger.outcomes([transaction.signature for transaction in transactions])
        for transaction, outcome in zip(transactions, outcomes, strict=True):
            assert (outcome is not None) != (transaction.signature in dead), transaction.parsed.signatures[0]
        state = self.ledger.state()
        assert state.processed + state.failed + len(dead) == state.accepted
        self.assert_conserved()
        self._assert_applied_once(state.seq)

    def assert_conserved(self) -> None:
        state = self.ledger.state()
        # Lamports stand first in whatever is stored.
        values = cast("list[bytes]", self.client.hvals(self.ledger.epoch_keys.accounts))
        assert sum(map(lamports_of, values)) + state.burned == state.supply

    def _assert_applied_once(self, last: int) -> None:
        entries = list(read_journal(self.ledger))
        assert [entry.seq for entry in entries] == list(range(last - len(entries) + 1, last + 1))
        raws = [entry.raw for entry in entries]
        assert len(set(raws)) == len(raws)


#: What the fixture `make_pipeline` gives.
MakePipeline = Callable[..., Pipeline]
