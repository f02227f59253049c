"""Accounts that were set by hand are true for everything that comes after, and for who looks at it."""

from __future__ import annotations

from collections.abc import Iterator

import fakeredis
import pytest
import redis
from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from banking.audit.audit import audit
from banking.execution import reserved
from banking.execution.sandbox_program import SANDBOX_PROGRAM, _Run
from banking.ledger.records import lamports_of, pack_account
from oracle.reserved import RESERVED
from tests.support.ledgers import SOL, new_world
from tests.support.oracle import sbpf
from tests.support.oracle.opinions import assert_agrees, opinion
from tests.support.oracle.sandbox_doings import by_hand
from tests.support.oracle.town import Town
from tests.support.oracle.users import deploy, errors, tell

OWNER = Pubkey(b"\7" * 32)


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    client: redis.Redis = fakeredis.FakeRedis(version=(6, 2))
    yield client
    client.close()


@pytest.fixture
def town(client: redis.Redis) -> Iterator[Town]:
    made = Town.found(client, 3)
    yield made
    made.seal()
    assert_agrees(made.world.blocks)


def record_of(lamports: int, data: bytes = b"", owner: Pubkey = OWNER) -> bytes:
    return pack_account(Account(lamports=lamports, data=data, owner=owner, executable=False))


def test_what_is_set_by_hand_stands_in_ledger_archive_checkpoint_and_restore(town: Town) -> None:
    person, stranger = town.people[0], town.new_key().pubkey()
    faucet = town.world.balance(town.world.faucet.pubkey())
    made = record_of(3 * SOL, b"by hand")
    assert errors(town, by_hand(town, stranger, made), 0) == [None]
    rich = record_of(5_000 * SOL, owner=Pubkey.default())
    assert errors(town, by_hand(town, person.pubkey(), rich), 1) == [None]
    assert town.world.ledger.account(bytes(stranger)) == made
    # Lamports come from the faucet, so that all of them together stay the same.
    given = 3 * SOL + (5_000 - 1_000) * SOL
    assert town.world.balance(town.world.faucet.pubkey()) == faucet - given - 2 * 5_000
    # Every stage goes on with it.
    pay = transfer(TransferParams(from_pubkey=person.pubkey(), to_pubkey=stranger, lamports=4_000 * SOL))
    assert errors(town, [town.sign([pay], [person])], 2) == [None]
    town.seal()
    assert audit(town.world.ledger, town.world.blocks).ok
    before = town.world.ledger.account(bytes(stranger))
    town.lose_redis(checkpoint=True)
    assert town.world.ledger.account(bytes(stranger)) == before
    assert lamports_of(before) == 4_003 * SOL
    assert errors(town, by_hand(town, stranger, b""), 0) == [None]
    assert town.world.ledger.account(bytes(stranger)) == b""
    assert town.world.balance(town.world.faucet.pubkey()) == faucet - given + 4_003 * SOL - 3 * 5_000


def test_a_large_account_is_there_at_once_and_not_in_pieces(town: Town) -> None:
    key, made = town.new_key().pubkey(), record_of(7 * SOL, bytes(range(256)) * 20)
    *pieces, last = by_hand(town, key, made)
    assert len(pieces) == 6
    # In any order, by any stage.
    assert errors(town, pieces[3:], 1) == [None] * 3
    assert errors(town, pieces[:3], 2) == [None] * 3
    assert town.world.ledger.account(bytes(key)) == b""
    assert errors(town, [last], 0) == [None]
    assert town.world.ledger.account(bytes(key)) == made


def test_a_program_whose_code_is_set_by_hand_runs_the_new_code_on_every_stage(town: Town) -> None:
    program = deploy(town, sbpf.telling(1))
    assert {tell(town, program, stage) for stage in range(3)} == {"Program log: 0x1, 0x1, 0x1, 0x1, 0x1"}
    other = deploy(town, sbpf.telling(2))
    ledger = town.world.ledger
    data, new = (Pubkey(ledger.account(bytes(key))[-32:]) for key in (program, other))
    assert errors(town, by_hand(town, data, ledger.account(bytes(new))), 1)[-1] is None
    town.seal()
    assert {tell(town, program, stage) for stage in range(3)} == {"Program log: 0x2, 0x2, 0x2, 0x2, 0x2"}


def test_only_the_key_that_the_genesis_names_sets_accounts(town: Town, client: redis.Redis) -> None:
    person, target = town.people[0], town.new_key().pubkey()
    metas = [AccountMeta(person.pubkey(), is_signer=True, is_writable=True), AccountMeta(target, False, True)]
    forged = Instruction(SANDBOX_PROGRAM, bytes(9) + record_of(SOL), metas)
    outcome = town.one(town.sign([forged], [person]))
    assert outcome.err == '{"InstructionError":[0,"IncorrectAuthority"]}'
    assert outcome.fee == 5_000
    named = AccountMeta(town.world.faucet.pubkey(), is_signer=False, is_writable=True)
    outcome = town.one(town.sign([Instruction(SANDBOX_PROGRAM, forged.data, [named, metas[1]])], [person]))
    assert outcome.err == '{"InstructionError":[0,"IncorrectAuthority"]}'
    # Where the genesis names nobody, there is no such program.
    elsewhere = new_world(client, "elsewhere")
    there = Town(elsewhere, [elsewhere.stage])
    assert there.one(by_hand(there, target, record_of(SOL))[0]).err == '"ProgramAccountNotFound"'


def test_the_two_lists_of_reserved_keys_are_one() -> None:
    assert RESERVED == reserved.RESERVED


def test_the_oracle_finds_a_hand_that_slips(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    town = Town.found(client, 1)
    checked = _Run._checked
    monkeypatch.setattr(_Run, "_checked", lambda run, record: checked(run, record)[:-1] + b"\xff")
    assert errors(town, by_hand(town, OWNER, record_of(SOL, b"data"))) == [None]
    town.seal()
    report = opinion(town.world.blocks)
    assert [line.field.partition(" ")[0] for line in report.divergences] == ["account"]
