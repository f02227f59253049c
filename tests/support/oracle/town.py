"""A ledger with several workers' stages, and people who do with it what users do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import redis
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from banking.blocks.block import BlockHeader
from banking.blocks.store import BlockStore
from banking.errors import StaleEpoch
from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage
from banking.ledger.ledger import Ledger
from banking.ledger.records import Outcome
from banking.restore.ledger_recovery import LedgerRecovery
from banking.transaction import SignedTransaction, verify
from tests.support.ledgers import SOL, World, new_world

Answer = TypeVar("Answer")


class PausingLedger(Ledger):
    """A ledger whose next commit waits until something else was done, as in a worker that was paused."""

    meanwhile: Callable[[], None] | None = None

    def commit(self, *args: Any, **kwargs: Any) -> Any:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return super().commit(*args, **kwargs)


def _patiently(work: Callable[[], Answer]) -> Answer:
    """Again where a restore was in between, as Celery's retry would: one may be before it, and one within."""
    for _ in range(2):
        with suppress(StaleEpoch):
            return work()
    return work()


@dataclass(frozen=True)
class PausingBlocks(BlockStore):
    """An archive whose next block waits until something else was done: the slot is closed, and not yet archived."""

    meanwhile: list[Callable[[], None]] = field(default_factory=list)

    def put(self, header: BlockHeader, body: bytes) -> bool:
        while self.meanwhile:
            self.meanwhile.pop()()
        return super().put(header, body)


@dataclass
class Town:
    """Several stages on one ledger. Things that were made are in the lists, whether they still exist or not."""

    world: World
    stages: list[BankingStage]
    people: list[Keypair] = field(default_factory=list)
    accounts: list[Keypair] = field(default_factory=list)
    nonces: list[Keypair] = field(default_factory=list)
    mints: list[tuple[Pubkey, Pubkey]] = field(default_factory=list)
    tables: list[AddressLookupTableAccount] = field(default_factory=list)
    programs: list[Keypair] = field(default_factory=list)
    buffers: list[Keypair] = field(default_factory=list)
    caller: Keypair | None = None
    counters: list[tuple[Pubkey, Pubkey]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    serial: int = 0

    @classmethod
    def found(cls, client: redis.Redis, stages: int = 2) -> Town:
        """A new ledger, some people with money, and stages that share nothing but the Redis."""
        world = new_world(client, sandbox=True)
        blocks = world.blocks
        world.blocks = PausingBlocks(blocks.archive, blocks.ledger, blocks.identity)
        made = [BankingStage(PausingLedger(client, world.ledger.keys.name), SvmExecutor()) for _ in range(stages)]
        town = cls(world, made, people=world.fund(4, 1_000 * SOL))
        town.seal()
        return town

    # ---- signing

    def new_key(self) -> Keypair:
        """A key that is the same in every run, so that a failing example fails again."""
        self.serial += 1
        return Keypair.from_seed(self.serial.to_bytes(32, "big"))

    def sign(
        self,
        instructions: Sequence[Instruction],
        signers: Sequence[Keypair],
        *,
        blockhash: Hash | None = None,
        tables: Sequence[AddressLookupTableAccount] = (),
    ) -> SignedTransaction:
        """A transaction paid by the first signer; with `tables` one of version 0."""
        recent = blockhash or self.world.blockhash()
        payer = signers[0].pubkey()
        message: Message | MessageV0 = (
            MessageV0.try_compile(payer, list(instructions), list(tables), recent)
            if tables
            else Message.new_with_blockhash(list(instructions), payer, recent)
        )
        return verify(bytes(VersionedTransaction(message, list(signers))))

    # ---- doing

    def run(self, transactions: Sequence[SignedTransaction], stage: int = 0) -> list[Outcome | None]:
        """Let one stage process a batch."""
        chosen = self.stages[stage % len(self.stages)]
        _patiently(lambda: chosen.process(list(transactions)))
        found = self.world.ledger.outcomes([transaction.signature for transaction in transactions])
        self.outcomes += [one for one in found if one is not None]
        return found

    def foretold(self, transaction: SignedTransaction, stage: int) -> tuple[str | None, int, list[str]]:
        """Error, units and logs that another stage's simulation gives for `transaction` now."""
        other = self.stages[(stage + 1) % len(self.stages)]
        result = _patiently(lambda: other.simulate(transaction)).result
        return result.err, result.units, result.logs

    def one(self, transaction: SignedTransaction, stage: int = 0) -> Outcome:
        """Process one, and insist on an outcome."""
        (outcome,) = self.run([transaction], stage)
        assert outcome is not None
        return outcome

    def paused(self, transactions: Sequence[SignedTransaction], stage: int, meanwhile: Callable[[], None]) -> None:
        """Let a stage process a batch, but be paused between execution and commit until `meanwhile` is done."""
        chosen = self.stages[stage % len(self.stages)]
        assert isinstance(chosen.ledger, PausingLedger)
        chosen.ledger.meanwhile = meanwhile
        self.run(transactions, stage)
        chosen.ledger.meanwhile = None

    def lose_redis(self, *, checkpoint: bool) -> None:
        """Redis is emptied, and the ledger restored from the archive: what was not final is gone."""
        ledger_recovery = LedgerRecovery(self.world.ledger, self.world.blocks)
        if checkpoint:
            ledger_recovery.create_checkpoint()
        self.world.ledger.client.flushall()
        self.world.ledger.forget_epoch()
        ledger_recovery.ensure_consistent()

    def seal(self, slots: int = 1, meanwhile: Callable[[], None] | None = None) -> None:
        """Seal some slots; `meanwhile` happens when the first is closed, and its block is not yet archived."""
        blocks = self.world.blocks
        assert isinstance(blocks, PausingBlocks)
        blocks.meanwhile.extend([meanwhile] if meanwhile is not None else [])
        for _ in range(slots):
            self.world.seal()
