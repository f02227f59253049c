"""Durable nonces from beginning to end, as Solana has them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import fakeredis
import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import (
    AdvanceNonceAccountParams,
    AuthorizeNonceAccountParams,
    CreateAccountParams,
    InitializeNonceAccountParams,
    TransferParams,
    WithdrawNonceAccountParams,
    advance_nonce_account,
    authorize_nonce_account,
    create_account,
    initialize_nonce_account,
    transfer,
    withdraw_nonce_account,
)

from banking.audit.audit import audit
from banking.blocks.sealer import Sealer
from banking.execution.executor import SvmExecutor
from banking.execution.processor import Processor
from banking.execution.stage import BankingStage
from banking.intake.dead_letters import TransactionDeadLetters
from banking.intake.intake import Intake
from banking.ledger.ledger import MAX_BLOCKHASH_AGE, Ledger
from banking.ledger.records import Outcome, unpack_account
from banking.transaction import SignedTransaction, verify
from tests.support.ledgers import SOL, World, new_world, sign

SYSTEM = Pubkey.default()
#: What exempts the 80 bytes of a nonce account from rent.
RENT = 1_447_680
EXPIRED = '"BlockhashNotFound"'
TWICE = '{"InstructionError":[0,{"Custom":7}]}'


class Bank:
    """A ledger, a payer, and what is done with nonces."""

    def __init__(self) -> None:
        self.world: World = new_world(fakeredis.FakeRedis(version=(6, 2)))
        (self.payer,) = self.world.fund(1, 100 * SOL)
        self.world.seal()

    def transaction(
        self, instructions: Sequence[Instruction], *more: Keypair, blockhash: bytes = b""
    ) -> SignedTransaction:
        newest = Hash.from_bytes(blockhash) if blockhash else self.world.blockhash()
        return verify(bytes(sign(instructions, [self.payer, *more], newest)))

    def outcome(self, transaction: SignedTransaction) -> Outcome:
        (outcome,) = self.world.ledger.outcomes([transaction.signature])
        assert outcome is not None
        return outcome

    def run(self, instructions: Sequence[Instruction], *more: Keypair, blockhash: bytes = b"") -> Outcome:
        transaction = self.transaction(instructions, *more, blockhash=blockhash)
        self.world.stage.process([transaction])
        return self.outcome(transaction)

    def nonce(self, lamports: int = RENT) -> Pubkey:
        """A new nonce account, whose authority is the payer."""
        account = Keypair()
        payer, key = self.payer.pubkey(), account.pubkey()
        made = create_account(
            CreateAccountParams(from_pubkey=payer, to_pubkey=key, lamports=lamports, space=80, owner=SYSTEM)
        )
        begun = initialize_nonce_account(InitializeNonceAccountParams(nonce_pubkey=key, authority=payer))
        assert self.run([made, begun], account).err is None
        return key

    def value(self, key: Pubkey) -> bytes:
        return unpack_account(self.world.ledger.account(bytes(key))).data[40:72]

    def authority(self, key: Pubkey) -> bytes:
        return unpack_account(self.world.ledger.account(bytes(key))).data[8:40]

    def advance(self, key: Pubkey, authority: Pubkey | None = None) -> Instruction:
        authority = authority or self.payer.pubkey()
        return advance_nonce_account(AdvanceNonceAccountParams(nonce_pubkey=key, authorized_pubkey=authority))

    def withdraw(self, key: Pubkey, lamports: int) -> Instruction:
        owner = self.payer.pubkey()
        return withdraw_nonce_account(
            WithdrawNonceAccountParams(nonce_pubkey=key, authorized_pubkey=owner, to_pubkey=owner, lamports=lamports)
        )

    def pay(self, target: Pubkey, lamports: int = SOL) -> Instruction:
        return transfer(TransferParams(from_pubkey=self.payer.pubkey(), to_pubkey=target, lamports=lamports))

    def due(self) -> bytes:
        """The value that a nonce gets in the open slot, from the headers alone."""
        slot = self.world.ledger.state().slot
        return hashlib.sha256(b"DURABLE_NONCE" + self.world.blocks.header(slot - 1).parent).digest()

    def expire(self) -> None:
        """Let every blockhash of today be too old."""
        for _ in range(MAX_BLOCKHASH_AGE + 1):
            self.world.seal()


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
def balanced(bank: Bank) -> Any:
    """Whatever happened, the audit has nothing to say."""
    yield bank
    bank.world.seal()
    report = audit(bank.world.ledger, bank.world.blocks)
    assert report.ok, report.checks


def test_values_follow_from_the_slot(bank: Bank) -> None:
    first = bank.nonce()
    assert bank.value(first) == bank.due()
    assert bank.value(first) == bank.value(bank.nonce())
    bank.world.seal()
    later = bank.nonce()
    assert bank.value(later) == bank.due() != bank.value(first)


def test_advance_once_a_slot(bank: Bank) -> None:
    key = bank.nonce()
    assert bank.run([bank.advance(key)]).err == TWICE
    for _ in range(3):
        bank.world.seal()
        before = bank.value(key)
        assert bank.run([bank.advance(key)]).err is None
        assert bank.value(key) == bank.due() != before
        assert bank.run([bank.advance(key), bank.pay(SYSTEM)]).err == TWICE


def test_authorize_and_withdraw(balanced: Bank) -> None:
    bank, heir = balanced, Keypair()
    key = bank.nonce(RENT + SOL)
    assert bank.run([bank.withdraw(key, SOL)]).err is None
    assert bank.world.balance(key) == RENT
    # All of it only when the nonce is not as fresh as the slot.
    assert bank.run([bank.withdraw(key, RENT)]).err == TWICE
    bank.world.seal()
    assert bank.run([bank.withdraw(key, RENT)]).err is None
    assert bank.world.ledger.account(bytes(key)) == b""
    other = bank.nonce()
    params = AuthorizeNonceAccountParams(
        nonce_pubkey=other, authorized_pubkey=bank.payer.pubkey(), new_authority=heir.pubkey()
    )
    assert bank.run([authorize_nonce_account(params)]).ok
    assert bank.authority(other) == bytes(heir.pubkey())
    bank.world.seal()
    assert not bank.run([bank.advance(other)]).ok
    assert bank.run([bank.advance(other, heir.pubkey())], heir).ok


def test_transaction_survives_any_number_of_slots_and_runs_once(balanced: Bank) -> None:
    bank, target = balanced, Keypair().pubkey()
    key = bank.nonce()
    value = bank.value(key)
    transaction = bank.transaction([bank.advance(key), bank.pay(target)], blockhash=value)
    rival = bank.transaction([bank.advance(key), bank.pay(target, 2 * SOL)], blockhash=value)
    bank.expire()
    # Another process than the one that made the nonce, and both in one batch.
    stage = BankingStage(Ledger(bank.world.ledger.client, bank.world.ledger.keys.name), SvmExecutor())
    report = stage.process([transaction, rival])
    assert len(report.committed) == 2
    assert (bank.outcome(transaction).err, bank.outcome(rival).err, bank.outcome(rival).fee) == (None, EXPIRED, 0)
    assert bank.world.balance(target) == SOL
    assert bank.value(key) == bank.due()
    assert stage.process([transaction]).duplicates == [transaction]
    # Also when the ledger has forgotten its signature.
    bank.expire()
    bank.expire()
    sealer = Sealer(bank.world.ledger, bank.world.blocks)
    while sealer.prune():
        pass
    assert bank.world.ledger.outcomes([transaction.signature]) == [None]
    stage.process([transaction])
    assert bank.outcome(transaction).err == EXPIRED
    assert bank.world.balance(target) == SOL
    # The nonce is good for the next one.
    again = bank.transaction([bank.advance(key), bank.pay(target)], blockhash=bank.value(key))
    stage.process([again])
    assert bank.outcome(again).err is None


UNKNOWN = Pubkey(b"\x07" * 32)
FAILURES: dict[str, tuple[str, Callable[[Bank], Instruction]]] = {
    "instruction": ('{"InstructionError":[1,{"Custom":1}]}', lambda bank: bank.pay(Keypair().pubkey(), 10**15)),
    "load": ('"ProgramAccountNotFound"', lambda _: Instruction(UNKNOWN, b"", [])),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_failed_transaction_pays_and_advances(balanced: Bank, kind: str) -> None:
    bank, (error, instruction) = balanced, FAILURES[kind]
    key = bank.nonce(RENT + SOL)
    value, before = bank.value(key), bank.world.balance(bank.payer.pubkey())
    bank.expire()
    transaction = bank.transaction([bank.advance(key), instruction(bank)], blockhash=value)
    bank.world.stage.process([transaction])
    assert (bank.outcome(transaction).err, bank.outcome(transaction).fee) == (error, 5_000)
    assert bank.world.balance(bank.payer.pubkey()) == before - 5_000
    assert (bank.value(key), bank.world.balance(key)) == (bank.due(), RENT + SOL)
    assert bank.authority(key) == bytes(bank.payer.pubkey())
    # The VM of this process has it, too.
    assert bank.run([bank.advance(key), bank.pay(Keypair().pubkey())], blockhash=value).err == EXPIRED
    bank.world.seal()
    assert bank.run([bank.advance(key)], blockhash=bank.value(key)).err is None


def test_nonce_account_pays_its_own_fee(balanced: Bank) -> None:
    bank, account = balanced, Keypair()
    key = account.pubkey()
    made = create_account(
        CreateAccountParams(from_pubkey=bank.payer.pubkey(), to_pubkey=key, lamports=RENT + SOL, space=80, owner=SYSTEM)
    )
    begun = initialize_nonce_account(InitializeNonceAccountParams(nonce_pubkey=key, authority=key))
    assert bank.run([made, begun], account).err is None
    value = bank.value(key)
    bank.expire()
    failing = transfer(TransferParams(from_pubkey=key, to_pubkey=Keypair().pubkey(), lamports=SOL))
    transaction = verify(bytes(sign([bank.advance(key, key), failing], [account], Hash.from_bytes(value))))
    bank.world.stage.process([transaction])
    # The System program moves nothing out of an account with data.
    assert (bank.outcome(transaction).err, bank.outcome(transaction).fee) == (
        '{"InstructionError":[1,"InvalidArgument"]}',
        5_000,
    )
    assert (bank.value(key), bank.world.balance(key)) == (bank.due(), RENT + SOL - 5_000)


def test_what_is_no_valid_nonce_transaction_is_refused(bank: Bank) -> None:
    key, thief = bank.nonce(), Keypair()
    value = bank.value(key)
    bank.expire()
    pay = bank.pay(Keypair().pubkey())
    readonly = Instruction(
        SYSTEM, b"\4\0\0\0", [AccountMeta(key, False, False), AccountMeta(thief.pubkey(), True, False)]
    )
    for instructions, signers in (
        ([pay, bank.advance(key)], []),
        ([bank.advance(key, thief.pubkey()), pay], [thief]),
        ([readonly, pay], [thief]),
        ([bank.advance(thief.pubkey()), pay], []),
        ([Instruction(SYSTEM, b"\4\0\0\0", []), pay], []),
    ):
        outcome = bank.run(instructions, *signers, blockhash=value)
        assert (outcome.err, outcome.fee) == (EXPIRED, 0)
    assert bank.run([bank.advance(key), pay], blockhash=bytes(range(32))).err == EXPIRED
    assert bank.value(key) == value


def test_fresh_nonce_waits_for_the_next_slot(bank: Bank) -> None:
    """Solana drops such a transaction, and its sender sends it again; here it waits in intake instead."""
    key, target = bank.nonce(), Keypair().pubkey()
    transaction = bank.transaction([bank.advance(key), bank.pay(target)], blockhash=bank.value(key))
    report = bank.world.stage.process([transaction])
    assert (report.conflicts, bank.world.ledger.outcomes([transaction.signature])) == ([transaction], [None])
    assert bank.world.stage.simulate(transaction).result.err == EXPIRED
    bank.world.seal()
    bank.world.stage.process([transaction])
    assert bank.outcome(transaction).err is None
    assert bank.world.balance(target) == SOL


def test_advance_by_another_between_reading_and_committing_is_noticed(balanced: Bank) -> None:
    bank, target = balanced, Keypair().pubkey()
    key = bank.nonce()
    value = bank.value(key)
    bank.expire()
    transaction = bank.transaction([bank.advance(key), bank.pay(target)], blockhash=value)
    stage = BankingStage(Ledger(bank.world.ledger.client, bank.world.ledger.keys.name), SvmExecutor())
    original = stage.ledger.commit
    codes: list[str] = []

    def commit(*args: Any, **more: Any) -> Any:
        if not codes:
            assert bank.run([bank.advance(key)], blockhash=value).err is None
        answer = original(*args, **more)
        codes.append(answer.codes)
        return answer

    stage.ledger.commit = commit  # type: ignore[method-assign]
    stage.process([transaction])
    assert codes == ["C", "A"]
    assert bank.outcome(transaction).err == EXPIRED
    assert bank.world.balance(target) == 0


def test_transaction_held_by_a_closed_gate_for_longer_than_a_blockhash_lives(balanced: Bank) -> None:
    bank, target = balanced, Keypair().pubkey()
    intake = Intake(bank.world.ledger)
    key = bank.nonce()
    held = bank.transaction([bank.advance(key), bank.pay(target)], blockhash=bank.value(key))
    plain = bank.transaction([bank.pay(target)])
    intake.accept([(transaction.signature, transaction.raw) for transaction in (held, plain)])
    intake.park([(transaction.signature, transaction.raw) for transaction in (held, plain)], 0.0)
    bank.expire()
    released = intake.sweep(grace=0.0, queue_empty=True, limit=10).released
    assert {verify(raw).signature for raw in released} == {held.signature, plain.signature}
    processor = Processor(bank.world.stage, intake, TransactionDeadLetters(bank.world.ledger))
    assert processor.run([verify(raw) for raw in released], enqueued_at=0, isolate=False).committed == 2
    assert (bank.outcome(held).err, bank.outcome(plain).err) == (None, EXPIRED)
    assert bank.world.balance(target) == SOL


def test_simulation_takes_a_nonce_for_a_blockhash(bank: Bank) -> None:
    key = bank.nonce()
    value = bank.value(key)
    bank.expire()
    transaction = bank.transaction([bank.advance(key), bank.pay(Keypair().pubkey())], blockhash=value)
    stranger = bank.transaction([bank.advance(key), bank.pay(Keypair().pubkey())], blockhash=bytes(range(32)))
    for _ in range(2):
        assert bank.world.stage.simulate(transaction).result.err is None
        assert bank.world.stage.simulate(stranger).result.err == EXPIRED
    assert bank.value(key) == value
