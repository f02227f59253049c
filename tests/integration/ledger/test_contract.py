"""What a ledger promises, on fakeredis and on a real Redis alike."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from banking.admin.genesis import create_ledger, genesis_accounts
from banking.errors import LedgerExists, LedgerMissing
from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage
from banking.intake.intake import Acceptance, Intake
from banking.ledger.commit_request import CommitRequest
from banking.ledger.ledger import MAX_BLOCKHASH_AGE, Ledger
from banking.ledger.records import Outcome, Result, pack_result
from banking.transaction import SignedTransaction, verify
from tests.support.ledgers import GENESIS_LAMPORTS, SOL, World, new_world, sign, transfer_transaction

#: Lamports that an account without data must hold.
RENT_EXEMPT = 890_880


@pytest.fixture
def world(any_redis: redis.Redis) -> World:
    return new_world(any_redis)


def outcome(world: World, transaction: SignedTransaction) -> Outcome:
    found = world.ledger.outcomes([transaction.signature])[0]
    assert found is not None
    return found


def test_transfer_moves_lamports_and_burns_the_fee(world: World) -> None:
    target = Keypair().pubkey()
    transaction = world.transfer(world.faucet, target, 2 * SOL)
    report = world.stage.process([transaction])
    assert [w.signature for w in report.committed] == [transaction.signature]
    assert world.balance(target) == 2 * SOL
    assert world.balance(world.faucet.pubkey()) == GENESIS_LAMPORTS - 2 * SOL - 5000
    state = world.ledger.state()
    assert (state.processed, state.failed, state.burned, state.seq) == (1, 0, 5000, 2)
    assert outcome(world, transaction).ok


def test_same_transaction_again_has_no_second_effect(world: World) -> None:
    target = Keypair().pubkey()
    transaction = world.transfer(world.faucet, target, SOL)
    world.stage.process([transaction])
    report = world.stage.process([transaction, transaction])
    assert [w.signature for w in report.duplicates] == [transaction.signature]
    assert world.balance(target) == SOL
    assert world.ledger.state().processed == 1


def test_same_message_under_another_signature_is_refused(world: World) -> None:
    """ed25519 lets a signer sign the same bytes twice, differently; a co-signer must not pay twice for it."""
    victim = world.fund(1)[0]
    target = Keypair().pubkey()
    params = TransferParams(from_pubkey=victim.pubkey(), to_pubkey=target, lamports=SOL)
    transaction = verify(bytes(sign([transfer(params)], [world.faucet, victim], world.blockhash())))
    world.stage.process([transaction])
    other = SignedTransaction(
        transaction.raw,
        transaction.parsed,
        bytes(Signature.new_unique()),
        transaction.message_hash,
        transaction.blockhash,
    )
    assert world.stage.process([other]).refused == [other]
    assert world.ledger.refusals([other.signature]) == ['"AlreadyProcessed"']
    assert world.ledger.outcomes([other.signature]) == [None]
    assert world.balance(target) == SOL


def test_unknown_blockhash_is_a_terminal_outcome(world: World) -> None:
    transaction = verify(bytes(transfer_transaction(world.faucet, Keypair().pubkey(), SOL, Hash.new_unique())))
    world.stage.process([transaction])
    assert outcome(world, transaction).err == '"BlockhashNotFound"'
    assert world.ledger.state().failed == 1
    assert world.balance(world.faucet.pubkey()) == GENESIS_LAMPORTS


def test_blockhash_lives_for_150_slots_and_no_longer(world: World) -> None:
    young, old = (world.transfer(world.faucet, Keypair().pubkey(), SOL) for _ in range(2))
    for _ in range(MAX_BLOCKHASH_AGE):
        world.seal()
    world.stage.process([young])
    assert outcome(world, young).ok
    world.seal()
    world.stage.process([old])
    assert outcome(world, old).err == '"BlockhashNotFound"'


def test_program_error_costs_the_fee_and_leaves_logs(world: World) -> None:
    poor = world.fund(1, SOL)[0]
    transaction = world.transfer(poor, Keypair().pubkey(), 5 * SOL)
    world.stage.process([transaction])
    found = outcome(world, transaction)
    assert found.err == '{"InstructionError":[0,{"Custom":1}]}'
    assert any("insufficient lamports" in line for line in found.logs)
    assert world.balance(poor.pubkey()) == SOL - 5000


def test_payer_without_account_is_refused_and_free(world: World) -> None:
    transaction = world.transfer(Keypair(), Keypair().pubkey(), 1)
    assert world.stage.process([transaction]).refused == [transaction]
    assert world.ledger.refusals([transaction.signature]) == ['"AccountNotFound"']
    assert world.ledger.state().burned == 0


@pytest.mark.parametrize("left_over", [0, 1, 2000])
def test_payer_too_poor_for_the_fee_is_refused_and_free(world: World, left_over: int) -> None:
    """Solana lets no fee take an account below its rent exemption unless it takes everything."""
    (poor,) = world.fund(1, RENT_EXEMPT + left_over)
    burned = world.ledger.state().burned
    transaction = world.transfer(poor, Keypair().pubkey(), 1)
    assert world.stage.process([transaction]).refused == [transaction]
    assert world.ledger.refusals([transaction.signature]) == ['{"InsufficientFundsForRent":{"account_index":0}}']
    assert world.ledger.state().burned == burned
    assert world.balance(poor.pubkey()) == RENT_EXEMPT + left_over


def test_chain_of_dependent_transfers_commits_in_one_batch(world: World) -> None:
    hops = [world.faucet, *(Keypair() for _ in range(5))]
    transactions = []
    for index in range(5):
        transactions.append(world.transfer(hops[index], hops[index + 1].pubkey(), (10 - index) * SOL))
    report = world.stage.process(transactions)
    assert len(report.committed) == 5
    assert all(outcome(world, transaction).ok for transaction in transactions)
    assert world.balance(hops[5].pubkey()) == 6 * SOL


def test_conflict_fails_only_the_transaction_and_what_built_on_it(world: World) -> None:
    """Two stages read the same state; the second one's stale transactions are done again, not lost."""
    alice, bob, carol = world.fund(3)
    second = BankingStage(world.ledger, SvmExecutor())
    transaction = world.transfer(alice, bob.pubkey(), SOL)
    rival = world.transfer(alice, carol.pubkey(), SOL)
    free = world.transfer(carol, Keypair().pubkey(), SOL)
    original = world.ledger.commit
    interfered: list[bool] = []

    def commit_after_rival(
        entries: list[CommitRequest], versions: dict[bytes, bytes], enqueued_at: int = 0, **more: Any
    ) -> object:
        if not interfered:
            interfered.append(True)
            rival_ledger = Ledger(world.ledger.client, world.ledger.keys.name)
            BankingStage(rival_ledger, SvmExecutor()).process([rival])
        answer = original(entries, versions, enqueued_at, **more)
        codes.append(answer.codes)
        return answer

    codes: list[str] = []
    world.ledger.commit = commit_after_rival  # type: ignore[method-assign, assignment]
    report = second.process([transaction, free])
    # `free` shares no account with `transaction`, but carol was paid by the rival meanwhile.
    assert codes == ["CC", "AA"]
    assert len(report.committed) == 2
    assert world.balance(alice.pubkey()) == 8 * SOL - 10_000
    assert world.ledger.state().processed == 6


def test_stale_version_and_its_dependants_conflict_while_others_apply(world: World) -> None:
    """The commit script alone: entry 2 depends on entry 1 (stale), entry 3 on nothing."""

    def entry(tag: bytes, reads: list[bytes], writes: dict[bytes, bytes]) -> CommitRequest:
        result = pack_result(Result(None, 5000, 0, []))
        blockhash = bytes(world.blockhash())
        return CommitRequest(tag * 64, tag * 32, blockhash, reads, 0, True, result, b"raw", writes)

    data = b"record" * 10
    a, b, c = b"a" * 32, b"b" * 32, b"c" * 32
    entries = [entry(b"1", [a], {a: data}), entry(b"2", [a, b], {b: data}), entry(b"3", [c], {c: data})]
    answer = world.ledger.commit(entries, {a: b"7", b: b"", c: b""})
    assert answer.codes == "CCA"
    assert (world.ledger.account(a), world.ledger.account(b), world.ledger.account(c)) == (b"", b"", data)


def test_ledgers_on_one_redis_do_not_touch_each_other(any_redis: redis.Redis) -> None:
    one, two = new_world(any_redis, "one"), new_world(any_redis, "two")
    target = Keypair().pubkey()
    before = two.ledger.state()
    one.stage.process([one.transfer(one.faucet, target, SOL)])
    Intake(one.ledger).accept([(b"s" * 64, b"raw")])
    assert (one.balance(target), two.balance(target)) == (SOL, 0)
    assert two.ledger.state() == before
    assert Intake(two.ledger).accept([(b"s" * 64, b"raw")]).answers == [Acceptance.ACCEPTED]


def test_making_a_ledger_twice_is_refused(world: World) -> None:
    with pytest.raises(LedgerExists):
        create_ledger(world.ledger, world.blocks, genesis_accounts(world.faucet.pubkey(), SOL))


def test_missing_ledger_says_how_to_make_one(any_redis: redis.Redis) -> None:
    with pytest.raises(LedgerMissing, match="trunkline init"):
        Ledger(any_redis, "nowhere").state()


def test_transaction_without_instructions_only_pays_its_fee(world: World) -> None:
    message = Message.new_with_blockhash([], world.faucet.pubkey(), world.blockhash())
    transaction = verify(bytes(VersionedTransaction(message, [world.faucet])))
    world.stage.process([transaction])
    assert outcome(world, transaction).ok
    assert world.balance(world.faucet.pubkey()) == GENESIS_LAMPORTS - 5000
    assert world.ledger.state().burned == 5000
