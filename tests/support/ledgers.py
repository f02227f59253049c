"""Small ledgers and real signed transactions for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import redis
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from banking.admin.genesis import create_ledger, genesis_accounts
from banking.blocks.sealer import Sealer
from banking.blocks.store import BlockStore
from banking.execution.executor import SvmExecutor
from banking.execution.sandbox_program import sandbox_account
from banking.execution.stage import BankingStage
from banking.intake.intake import Intake
from banking.ledger.batch_record import ID_BYTES
from banking.ledger.ledger import Ledger
from banking.ledger.records import lamports_of
from banking.transaction import SignedTransaction, verify
from recovery.archive import Archive, MemoryArchive
from recovery.identity import Identity

SOL = 10**9
GENESIS_LAMPORTS = 1_000_000 * SOL


@dataclass
class World:
    """A ledger with its faucet and a banking stage."""

    ledger: Ledger
    blocks: BlockStore
    faucet: Keypair
    stage: BankingStage

    def blockhash(self) -> Hash:
        return Hash.from_bytes(self.ledger.state().blockhash)

    def balance(self, key: Pubkey) -> int:
        return lamports_of(self.ledger.account(bytes(key)))

    def seal(self) -> None:
        """Seal the open slot."""
        assert Sealer(self.ledger, self.blocks).seal() is not None

    def transfer(self, source: Keypair, target: Pubkey, lamports: int) -> SignedTransaction:
        return verify(bytes(transfer_transaction(source, target, lamports, self.blockhash())))

    def fund(self, count: int, lamports: int = 10 * SOL) -> list[Keypair]:
        """New accounts with `lamports` each, by real transfers from the faucet."""
        keypairs = [Keypair() for _ in range(count)]
        transactions = [self.transfer(self.faucet, keypair.pubkey(), lamports) for keypair in keypairs]
        for first in range(0, count, 64):
            assert not self.stage.process(transactions[first : first + 64]).conflicts
        return keypairs


def waiting(ledger: Ledger) -> list[SignedTransaction]:
    """What intake holds, each with a record of its own from now on."""
    intake, client = Intake(ledger), ledger.client
    held: dict[bytes, bytes] = client.hgetall(ledger.keys.intake)  # type: ignore[assignment]
    for batch in {value for value in held.values() if len(value) == ID_BYTES}:
        intake.dissolve(batch)
    held = client.hgetall(ledger.keys.intake)  # type: ignore[assignment]
    return [verify(raw) for raw in held.values()]


def new_world(
    client: redis.Redis,
    name: str = "test",
    *,
    archive: Archive | None = None,
    identity: Identity | None = None,
    programs: bool = True,
    lamports: int = GENESIS_LAMPORTS,
    more: Mapping[bytes, bytes] | None = None,
    sandbox: bool = False,
) -> World:
    """A fresh ledger on `client`, with `lamports` in its faucet, the usual `programs`, and `more` accounts.

    In a `sandbox` the faucet may set accounts.
    """
    ledger, faucet = Ledger(client, name), Keypair()
    blocks = BlockStore(archive or MemoryArchive(), name, identity or Identity.generate())
    accounts = genesis_accounts(faucet.pubkey(), lamports)
    if not programs:
        accounts = {bytes(faucet.pubkey()): accounts[bytes(faucet.pubkey())]}
    if sandbox:
        accounts |= sandbox_account(faucet.pubkey())
    create_ledger(ledger, blocks, accounts | dict(more or {}))
    return World(ledger, blocks, faucet, BankingStage(ledger, SvmExecutor()))


def sign(instructions: Sequence[Instruction], signers: Sequence[Keypair], blockhash: Hash) -> VersionedTransaction:
    """A legacy transaction paid by the first signer."""
    message = Message.new_with_blockhash(list(instructions), signers[0].pubkey(), blockhash)
    return VersionedTransaction(message, list(signers))


def transfer_transaction(source: Keypair, target: Pubkey, lamports: int, blockhash: Hash) -> VersionedTransaction:
    """A signed transfer of lamports."""
    params = TransferParams(from_pubkey=source.pubkey(), to_pubkey=target, lamports=lamports)
    return sign([transfer(params)], [source], blockhash)
