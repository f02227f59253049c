"""A producer in a process of its own, so that its CPU time has a place in the accounts.

`python -m benchmarks.producer` reads orders from standard input, a JSON object a line, and answers each with a line:
`{"make": COUNT, ...}` prepares, which nobody measures; `{"send": true}` sends what was prepared.
"""

from __future__ import annotations

import base64
import itertools
import json
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from celery import Celery
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from banking.from_settings import open_ledger
from benchmarks.bare import app as bare_app
from benchmarks.harness import HOT, MOST_PAYERS, ROOT, Bench, address, keypair
from benchmarks.peers import peer
from config.celery_settings import celery_settings
from config.queues import PROCESS
from config.settings import get_settings
from tasks.submission import Submitter


class Sender(Protocol):
    """A kind of load."""

    def make(self, count: int) -> None:
        """Prepare `count` jobs."""

    def send(self) -> None:
        """Send what was prepared; returns once the broker has it."""


@dataclass
class Transfers:
    """Signed transfers among `accounts` accounts. No two are equal: that would be one transaction.

    `hot` is the share of those that one payer pays, `payments` the number of transfers in one transaction, `first`
    the least amount, which must differ between producers.
    """

    accounts: int
    hot: float = 0.0
    payments: int = 1
    first: int = 1
    _amounts: Iterator[int] = field(init=False)
    _payers: list[Keypair] = field(init=False)
    _payees: list[Pubkey] = field(init=False)

    def __post_init__(self) -> None:
        self._amounts = itertools.count(self.first)
        self._payers = [keypair(number) for number in range(min(self.accounts, MOST_PAYERS))]
        self._payees = [one.pubkey() for one in self._payers]

    def make(self, count: int, blockhash: Hash) -> list[bytes]:
        return [self._one(blockhash) for _ in range(count)]

    def _one(self, blockhash: Hash) -> bytes:
        source = keypair(HOT) if random.random() < self.hot else random.choice(self._payers)
        payer = source.pubkey()
        paid = [self._payee(payer) for _ in range(self.payments)]
        orders = [
            transfer(TransferParams(from_pubkey=payer, to_pubkey=payee, lamports=next(self._amounts))) for payee in paid
        ]
        return bytes(VersionedTransaction(Message.new_with_blockhash(orders, payer, blockhash), [source]))

    def _payee(self, payer: Pubkey) -> Pubkey:
        if self.accounts > 10 * MOST_PAYERS:
            return Pubkey(address(random.randrange(MOST_PAYERS, self.accounts)))
        payee = payer
        while payee == payer:
            payee = random.choice(self._payees)
        return payee


class Bare:
    """The yardstick: `bare.incr`."""

    def __init__(self) -> None:
        self._count = 0

    def make(self, count: int) -> None:
        self._count = count

    def send(self) -> None:
        with bare_app.connection_for_write() as connection:
            producer = bare_app.amqp.Producer(connection)
            for _ in range(self._count):
                bare_app.send_task("bare.incr", producer=producer)


class Submitted:
    """`submit()`: signatures verified, accepted by intake, in messages of `batch_size`."""

    def __init__(self, transfers: Transfers) -> None:
        settings = get_settings()
        self._transfers = transfers
        self._ledger = open_ledger(settings)
        app = Celery("producer", set_as_current=False)
        app.conf.update(celery_settings(settings))
        self._submitter = Submitter(self._ledger, app, settings)
        self._raws: Sequence[bytes] = []

    def make(self, count: int) -> None:
        self._raws = self._transfers.make(count, Hash.from_bytes(self._ledger.state().blockhash))

    def send(self) -> None:
        refused = [receipt for receipt in self._submitter.submit(self._raws) if not receipt.accepted]
        if refused:
            raise RuntimeError(f"{len(refused)} transfers were not accepted: {refused[0]}")


class Single:
    """The task `transactions.process` with one base64 string, as any Celery client sends it."""

    def __init__(self, transfers: Transfers) -> None:
        settings = get_settings()
        self._transfers = transfers
        self._ledger = open_ledger(settings)
        self._app = Celery("producer", set_as_current=False)
        self._app.conf.update(celery_settings(settings))
        self._texts: Sequence[str] = []

    def make(self, count: int) -> None:
        raws = self._transfers.make(count, Hash.from_bytes(self._ledger.state().blockhash))
        self._texts = [base64.b64encode(raw).decode() for raw in raws]

    def send(self) -> None:
        with self._app.connection_for_write() as connection:
            producer = self._app.amqp.Producer(connection)
            for text in self._texts:
                self._app.send_task(PROCESS, args=(text,), producer=producer)


class Peer:
    """Another framework: INCRs, or with `accounts` signed transfers among them, a job each."""

    def __init__(self, name: str, accounts: int = 0) -> None:
        self._peer = peer(name)
        self._transfers = Transfers(accounts) if accounts else None
        self._jobs: Sequence[tuple[str, ...]] = []

    def make(self, count: int) -> None:
        self._jobs = [()] * count
        if self._transfers is not None:
            raws = self._transfers.make(count, Hash.default())
            self._jobs = [(base64.b64encode(raw).decode(),) for raw in raws]

    def send(self) -> None:
        self._peer.send("incr" if self._transfers is None else "apply", self._jobs)


def _sender(kind: str, **transfers: Any) -> Sender:
    if kind == "bare":
        return Bare()
    if kind not in ("batch", "single"):
        return Peer(kind, **transfers)
    made = Transfers(**transfers)
    return Submitted(made) if kind == "batch" else Single(made)


class Producer:
    """The harness' side of a producer process on `bench`. Raises RuntimeError with its log when it ends."""

    def __init__(self, bench: Bench, kind: str, number: int, **transfers: Any) -> None:
        self._log = bench.folder / f"producer{number}.log"
        log = bench.stack.enter_context(self._log.open("wb"))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.producer", json.dumps({"kind": kind, **transfers})],
            cwd=ROOT,
            env=bench.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        bench.stack.callback(self._end)
        bench.pids.setdefault("producer", []).append(self._process.pid)

    def order(self, **order: Any) -> None:
        """Have something done; `answer` waits for the end of it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def answer(self) -> None:
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise RuntimeError(f"The producer ended:\n{self._log.read_text()[-2000:]}")

    def _end(self) -> None:
        self._process.communicate(timeout=30)


def main() -> None:
    sender = _sender(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        order = json.loads(line)
        if "make" in order:
            sender.make(order["make"])
        else:
            sender.send()
        print("done", flush=True)


if __name__ == "__main__":
    main()
