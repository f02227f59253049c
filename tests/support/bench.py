"""A processor on a ledger, as a worker has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fakeredis
from solders.keypair import Keypair

from banking.execution.batch import BatchReport
from banking.execution.processor import Processor
from banking.execution.stage import OpenedBatch
from banking.intake.dead_letters import TransactionDeadLetters
from banking.intake.intake import Intake
from banking.transaction import SignedTransaction, parse
from recovery.dead_letters import LetterLimits
from tests.support.ledgers import SOL, World, new_world

Act = Callable[[list[SignedTransaction]], BatchReport | None]


class Bench:
    """A ledger with a processor whose stage a test may disturb."""

    def __init__(self) -> None:
        self.client: Any = fakeredis.FakeRedis(version=(6, 2))
        self.world: World = new_world(self.client)
        self.intake = Intake(self.world.ledger)
        self.dead_letters = TransactionDeadLetters(self.world.ledger)
        self.processor = Processor(self.world.stage, self.intake, self.dead_letters, max_attempts=2)
        self.keys = self.world.ledger.keys

    def accepted(self, count: int) -> list[SignedTransaction]:
        transactions = [self.world.transfer(self.world.faucet, Keypair().pubkey(), SOL) for _ in range(count)]
        self.intake.accept([(transaction.signature, transaction.raw) for transaction in transactions])
        return transactions

    def limit_letters(self, limit: int, *, most_bytes: int = 10**9) -> None:
        letters = LetterLimits(limit, most_bytes)
        self.intake = Intake(self.world.ledger, letters=letters)
        self.dead_letters = TransactionDeadLetters(self.world.ledger, limits=letters)
        self.processor = Processor(self.world.stage, self.intake, self.dead_letters, max_attempts=2)

    def disturb(self, act: Act) -> None:
        """Let `act` see each batch first: it may raise, answer in the stage's place, or return None."""
        original = self.world.stage.process

        def process(
            transactions: list[SignedTransaction], *, enqueued_at: int = 0, opened: OpenedBatch | None = None
        ) -> BatchReport:
            return act(list(transactions)) or original(transactions, enqueued_at=enqueued_at, opened=opened)

        self.world.stage.process = process  # type: ignore[method-assign, assignment]

    def run(self, transactions: list[SignedTransaction], *, isolate: bool = False) -> Any:
        return self.processor.run(transactions, enqueued_at=0, isolate=isolate)

    def attempts(self, transaction: SignedTransaction) -> int:
        return int(self.client.hget(self.keys.attempts, transaction.signature) or 0)


def forged(bench: Bench) -> SignedTransaction:
    """A transfer out of the faucet that the faucet never signed."""
    transaction = bench.accepted(1)[0]
    raw = transaction.raw[:1] + bytes(64) + transaction.raw[65:]
    return parse(raw)
