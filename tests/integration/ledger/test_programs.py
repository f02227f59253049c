"""Real programs over the ledger, on fakeredis and a real Redis alike: what they write must survive the round trip."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import redis
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, TransferParams, create_account, transfer
from solders.transaction import VersionedTransaction

from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage
from banking.execution.transaction_meta import unpack_transaction_meta
from banking.ledger.journal import read_journal
from banking.ledger.ledger import Ledger
from banking.ledger.limits import LONE_LOAD_BYTES
from banking.ledger.loaded_state import LoadedState
from banking.ledger.records import EXECUTABLE_AT, Outcome, lamports_of, unpack_account
from banking.ledger.scan import scan_accounts
from banking.transaction import SignedTransaction, verify
from tests.support.ledgers import GENESIS_LAMPORTS, SOL, World, new_world, sign

SYSTEM = Pubkey.default()
TABLES = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_ACCOUNTS = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
RENT = Pubkey.from_string("SysvarRent111111111111111111111111111111111")
MINT_BYTES = 82
MINT_LAMPORTS = 1_461_600


@pytest.fixture
def world(any_redis: redis.Redis) -> World:
    return new_world(any_redis)


def outcomes(world: World, transactions: Sequence[SignedTransaction]) -> list[Outcome | None]:
    return world.ledger.outcomes([transaction.signature for transaction in transactions])


def run(world: World, instructions: Sequence[Instruction], signers: Sequence[Keypair]) -> Outcome:
    transaction = verify(bytes(sign(instructions, signers, world.blockhash())))
    world.stage.process([transaction])
    (outcome,) = outcomes(world, [transaction])
    assert outcome is not None
    return outcome


def meta(key: Pubkey, flags: str = "") -> AccountMeta:
    """`flags`: s signer, w writable."""
    return AccountMeta(key, "s" in flags, "w" in flags)


def conserved(world: World) -> bool:
    balances = [lamports_of(record) for _, _, record in scan_accounts(world.ledger)]
    state = world.ledger.state()
    return sum(balances) + state.burned == state.supply


# ---- address lookup tables


def create_table(world: World, slot: int) -> tuple[Pubkey, Instruction]:
    owner = world.faucet.pubkey()
    table, bump = Pubkey.find_program_address([bytes(owner), slot.to_bytes(8, "little")], TABLES)
    data = (0).to_bytes(4, "little") + slot.to_bytes(8, "little") + bytes([bump])
    return table, Instruction(TABLES, data, [meta(table, "w"), meta(owner, "s"), meta(owner, "sw"), meta(SYSTEM)])


def extend_table(world: World, table: Pubkey, addresses: Sequence[Pubkey]) -> Instruction:
    owner = world.faucet.pubkey()
    data = (2).to_bytes(4, "little") + len(addresses).to_bytes(8, "little") + b"".join(map(bytes, addresses))
    return Instruction(TABLES, data, [meta(table, "w"), meta(owner, "s"), meta(owner, "sw"), meta(SYSTEM)])


def through_table(world: World, table: AddressLookupTableAccount, target: Pubkey, lamports: int) -> SignedTransaction:
    """A version 0 transfer whose target is named by the table alone."""
    params = TransferParams(from_pubkey=world.faucet.pubkey(), to_pubkey=target, lamports=lamports)
    message = MessageV0.try_compile(world.faucet.pubkey(), [transfer(params)], [table], world.blockhash())
    assert target not in message.account_keys
    return verify(bytes(VersionedTransaction(message, [world.faucet])))


def test_lookup_table_is_made_extended_and_used(world: World) -> None:
    targets = [Keypair().pubkey() for _ in range(3)]
    world.seal()
    table, create = create_table(world, world.ledger.state().slot - 1)
    assert run(world, [create], [world.faucet]).err is None
    assert run(world, [extend_table(world, table, targets)], [world.faucet]).err is None
    known = AddressLookupTableAccount(table, targets)
    # What was added in this slot can be used from the next one on.
    early = through_table(world, known, targets[0], SOL)
    assert world.stage.process([early]).refused == [early]
    world.seal()
    transactions = [through_table(world, known, target, SOL) for target in targets]
    # A stage that never saw the table, as another worker's.
    other = BankingStage(Ledger(world.ledger.client, world.ledger.keys.name), SvmExecutor())
    report = other.process(transactions)
    assert len(report.committed) == 3
    assert [outcome and outcome.err for outcome in outcomes(world, transactions)] == [None] * 3
    assert [world.balance(target) for target in targets] == [SOL] * 3
    assert conserved(world)


class NarrowLedger(Ledger):
    """Looks at no account when a whole batch asks, as if all of them were large."""

    def load(self, *args: Any, most_bytes: int = 0, **options: Any) -> LoadedState:
        loaded = super().load(*args, most_bytes=most_bytes, **options)
        return loaded if most_bytes == LONE_LOAD_BYTES else replace(loaded, left_out=frozenset(loaded.records))


def test_a_transaction_that_is_loaded_alone_names_each_account_of_its_table_once(world: World) -> None:
    targets = [Keypair().pubkey() for _ in range(8)]
    world.seal()
    table, create = create_table(world, world.ledger.state().slot - 1)
    for instruction in (create, extend_table(world, table, targets)):
        assert run(world, [instruction], [world.faucet]).err is None
    world.seal()
    known = AddressLookupTableAccount(table, targets)
    world.stage.process([through_table(world, known, target, SOL) for target in targets])
    stage = BankingStage(NarrowLedger(world.ledger.client, world.ledger.keys.name), SvmExecutor())
    transactions = [through_table(world, known, target, SOL + 1) for target in targets]
    start = world.ledger.state().seq
    assert len(stage.process(transactions).committed) == len(targets)
    details = [unpack_transaction_meta(entry.detail) for entry in read_journal(world.ledger, after_seq=start)]
    # The payer, the system program, and the target that the table names.
    assert [len(detail.post) for detail in details if detail] == [3] * len(targets)


def test_table_that_is_not_there_is_refused(world: World) -> None:
    target = Keypair().pubkey()
    transaction = through_table(world, AddressLookupTableAccount(Keypair().pubkey(), [target]), target, SOL)
    assert world.stage.process([transaction]).refused == [transaction]
    assert world.ledger.refusals([transaction.signature]) == ['"AddressLookupTableNotFound"']
    assert world.balance(target) == 0


# ---- tokens and memos


def token_account(owner: Pubkey, mint: Pubkey) -> Pubkey:
    return Pubkey.find_program_address([bytes(owner), bytes(TOKEN), bytes(mint)], TOKEN_ACCOUNTS)[0]


def create_token_account(payer: Pubkey, owner: Pubkey, mint: Pubkey) -> Instruction:
    account = token_account(owner, mint)
    metas = [meta(payer, "sw"), meta(account, "w"), meta(owner), meta(mint), meta(SYSTEM), meta(TOKEN)]
    return Instruction(TOKEN_ACCOUNTS, b"", metas)


def tokens(world: World, account: Pubkey) -> int:
    return int.from_bytes(unpack_account(world.ledger.account(bytes(account))).data[64:72], "little")


def test_tokens_are_minted_and_transferred(world: World) -> None:
    """Through the Token and Associated Token programs, which are accounts of the genesis."""
    faucet, mint = world.faucet.pubkey(), Keypair()
    (alice,) = world.fund(1)
    amount = 2**64 - 1
    create = create_account(
        CreateAccountParams(
            from_pubkey=faucet, to_pubkey=mint.pubkey(), lamports=MINT_LAMPORTS, space=MINT_BYTES, owner=TOKEN
        )
    )
    initialize = Instruction(TOKEN, b"\x14\x06" + bytes(faucet) + b"\x00", [meta(mint.pubkey(), "w")])
    assert run(world, [create, initialize], [world.faucet, mint]).err is None
    ours, hers = token_account(faucet, mint.pubkey()), token_account(alice.pubkey(), mint.pubkey())
    accounts = [create_token_account(faucet, owner, mint.pubkey()) for owner in (faucet, alice.pubkey())]
    minted = Instruction(
        TOKEN, b"\x07" + amount.to_bytes(8, "little"), [meta(mint.pubkey(), "w"), meta(ours, "w"), meta(faucet, "s")]
    )
    assert run(world, [*accounts, minted], [world.faucet]).err is None
    moved = Instruction(
        TOKEN, b"\x03" + (amount - 1).to_bytes(8, "little"), [meta(ours, "w"), meta(hers, "w"), meta(faucet, "s")]
    )
    assert run(world, [moved], [world.faucet]).err is None
    assert (tokens(world, ours), tokens(world, hers)) == (1, amount - 1)
    # Too much is the program's own error, and changes nothing but the fee.
    world.seal()
    assert run(world, [moved], [world.faucet]).err == '{"InstructionError":[0,{"Custom":1}]}'
    assert (tokens(world, ours), tokens(world, hers)) == (1, amount - 1)
    assert conserved(world)


def test_memo_is_in_the_logs(world: World) -> None:
    outcome = run(world, [Instruction(MEMO, "Grüße".encode(), [meta(world.faucet.pubkey(), "s")])], [world.faucet])
    assert outcome.ok
    assert any("Grüße" in line for line in outcome.logs)


# ---- lamports and accounts


def test_deep_chain_of_dependent_transfers_commits_in_one_batch(world: World) -> None:
    """Each of 64 hops spends what the one before it brought."""
    hops = [world.faucet, *(Keypair() for _ in range(64))]
    transactions = [
        world.transfer(source, target.pubkey(), (200 - index) * SOL)
        for index, (source, target) in enumerate(pairwise(hops))
    ]
    report = world.stage.process(transactions)
    assert [transaction.signature for transaction in report.committed] == [
        transaction.signature for transaction in transactions
    ]
    assert all(outcome and outcome.ok for outcome in outcomes(world, transactions))
    assert world.balance(hops[64].pubkey()) == 137 * SOL
    assert conserved(world)


def test_chain_in_the_wrong_order_is_refused_where_the_money_is_missing(world: World) -> None:
    one, two = Keypair(), Keypair()
    late = world.transfer(one, two.pubkey(), SOL)
    first = world.transfer(world.faucet, one.pubkey(), 5 * SOL)
    world.stage.process([late, first])
    assert world.ledger.refusals([late.signature, first.signature]) == ['"AccountNotFound"', None]
    _, there = outcomes(world, [late, first])
    assert there is not None
    assert there.ok
    assert world.balance(two.pubkey()) == 0


def test_account_spent_to_zero_is_gone_and_can_come_again(world: World) -> None:
    (alice,) = world.fund(1, SOL)
    empty = world.transfer(alice, world.faucet.pubkey(), SOL - 5000)
    refill = world.transfer(world.faucet, alice.pubkey(), 3 * SOL)
    world.stage.process([empty])
    assert world.ledger.account(bytes(alice.pubkey())) == b""
    world.stage.process([refill])
    assert world.balance(alice.pubkey()) == 3 * SOL
    drain = world.transfer(alice, world.faucet.pubkey(), 3 * SOL - 5000)
    back = world.transfer(world.faucet, alice.pubkey(), 2 * SOL)
    world.stage.process([drain, back])
    assert all(outcome and outcome.ok for outcome in outcomes(world, [drain, back]))
    assert world.balance(alice.pubkey()) == 2 * SOL
    assert conserved(world)


@pytest.mark.parametrize("lamports", [2**53 + 1, GENESIS_LAMPORTS - 10 * SOL - 1])
def test_lamports_are_exact_beyond_what_a_lua_number_holds(any_redis: redis.Redis, lamports: int) -> None:
    world = new_world(any_redis, lamports=2**62)
    target = Keypair()
    world.stage.process([world.transfer(world.faucet, target.pubkey(), lamports)])
    assert world.balance(target.pubkey()) == lamports
    world.stage.process([world.transfer(target, world.faucet.pubkey(), lamports - 2_000_000)])
    assert world.balance(target.pubkey()) == 2_000_000 - 5000
    assert conserved(world)


# ---- programs at hand


def test_changed_program_is_fetched_again(world: World) -> None:
    """A worker keeps programs at hand; one that changed meanwhile must not run in its old form."""
    reader = BankingStage(Ledger(world.ledger.client, world.ledger.keys.name), SvmExecutor())
    memo = Instruction(MEMO, b"hello", [meta(world.faucet.pubkey(), "s")])

    def through(stage: BankingStage) -> Outcome:
        world.seal()
        transaction = verify(bytes(sign([memo], [world.faucet], world.blockhash())))
        stage.process([transaction])
        (outcome,) = outcomes(world, [transaction])
        assert outcome is not None
        return outcome

    assert through(reader).ok
    replace_record(world, MEMO, executable=False)
    assert not through(reader).ok
    replace_record(world, MEMO, executable=True)
    assert through(reader).ok


def test_programs_at_hand_do_not_outlive_a_restore(world: World) -> None:
    """Versions come again under a new epoch, with other records behind them."""
    memo = Instruction(MEMO, b"hello", [meta(world.faucet.pubkey(), "s")])
    assert run(world, [memo], [world.faucet]).ok
    ledger = world.ledger
    old, new = ledger.epoch_keys, ledger.keys.epoch(ledger.epoch + 1)
    for before, after in zip(old.all(), new.all(), strict=True):
        if ledger.client.exists(before):
            ledger.client.rename(before, after)
    ledger.client.hset(ledger.keys.meta, "epoch", ledger.epoch + 1)
    ledger.forget_epoch()
    # The same version, as a restore to before a change leaves it.
    replace_record(world, MEMO, executable=False, new_version=False)
    again = transfer(TransferParams(from_pubkey=world.faucet.pubkey(), to_pubkey=world.faucet.pubkey(), lamports=1))
    transaction = verify(bytes(sign([memo, again], [world.faucet], world.blockhash())))
    world.stage.process([transaction])
    (outcome,) = outcomes(world, [transaction])
    assert outcome is not None
    assert not outcome.ok


def replace_record(world: World, key: Pubkey, *, executable: bool, new_version: bool = True) -> None:
    """The program in another form, as an upgrade or a restore leaves it."""
    client: Any = world.ledger.client
    keys, record = world.ledger.epoch_keys, world.ledger.account(bytes(key))
    changed = record[:EXECUTABLE_AT] + bytes([executable]) + record[EXECUTABLE_AT + 1 :]
    client.hset(keys.accounts, bytes(key), changed)
    if new_version:
        client.hset(keys.versions, bytes(key), b"1000000:" + os.urandom(24))
