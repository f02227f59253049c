"""What users do, each kind to its end and on different stages; the oracle agrees with all of it."""

from __future__ import annotations

from collections.abc import Iterator

import fakeredis
import pytest
import redis
from solders.account import Account
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, TransferParams, create_account, transfer

from banking.admin.genesis import genesis_accounts
from banking.ledger.records import pack_account
from tests.support.oracle import doings, program_doings, sbpf
from tests.support.oracle import instructions as make
from tests.support.oracle.opinions import assert_agrees
from tests.support.oracle.town import Town
from tests.support.oracle.users import deploy, errors, tell

NOT_DEPLOYED = '{"InstructionError":[0,"UnsupportedProgramId"]}'


@pytest.fixture
def town() -> Iterator[Town]:
    client: redis.Redis = fakeredis.FakeRedis(version=(6, 2))
    made = Town.found(client, 3)
    yield made
    made.seal()
    assert_agrees(made.world.blocks)
    client.close()


def test_a_program_is_what_the_ledger_holds_on_every_stage(town: Town) -> None:
    program, authority = deploy(town, sbpf.telling(1)), town.people[0]
    assert {tell(town, program, stage) for stage in range(3)} == {"Program log: 0x1, 0x1, 0x1, 0x1, 0x1"}
    buffer, transactions = program_doings.fill_buffer(town, sbpf.telling(2))
    town.seal()
    upgrade = town.sign([make.upgrade(program, buffer.pubkey(), authority.pubkey())], [authority])
    assert errors(town, [*transactions, upgrade], 1) == [None] * 4
    assert {tell(town, program, stage) for stage in range(3)} == {"Program log: 0x2, 0x2, 0x2, 0x2, 0x2"}
    caller, payer = deploy(town, sbpf.calling()), town.people[1]
    through = town.one(town.sign([make.call(caller, b"", (program, ""))], [payer]), 2)
    assert (through.err, through.logs[2]) == (None, "Program log: 0x2, 0x2, 0x2, 0x2, 0x2")
    town.seal()
    assert errors(town, [town.sign([make.close_program(program, authority.pubkey())], [authority])], 2) == [None]
    assert {tell(town, program, stage) for stage in range(3)} == {NOT_DEPLOYED}
    # Nor through another program.
    through_it = town.sign([make.call(caller, b"\1", (program, ""))], [payer])
    assert town.one(through_it, 1).err == NOT_DEPLOYED
    town.seal()
    assert {tell(town, program, stage) for stage in range(3)} == {NOT_DEPLOYED}


def test_an_upgrade_that_was_never_committed_leaves_nothing_behind(town: Town) -> None:
    """The stage that lost the race executed its upgrade, but no ledger ever had it."""
    program, authority = deploy(town, sbpf.telling(1)), town.people[0]
    batches = []
    for number in (2, 3):
        buffer, transactions = program_doings.fill_buffer(town, sbpf.telling(number))
        assert errors(town, transactions) == [None] * 3
        step = make.upgrade(program, buffer.pubkey(), authority.pubkey())
        batches.append([town.sign([step], [authority])])

    def meanwhile() -> None:
        town.run(batches[1], 2)

    town.seal()
    town.paused(batches[0], 1, meanwhile)
    said = {tell(town, program, stage) for stage in range(3)}
    assert len(said) == 1


@pytest.mark.parametrize("program", [make.TOKEN, make.TOKEN_2022])
def test_tokens(town: Town, program: Pubkey) -> None:
    owner, other = town.people[0], town.people[1]
    number = 1 if program == make.TOKEN else 0
    assert errors(town, doings.make_mint(town, 0, number), 0) == [None]
    ((mint, _),) = town.mints
    assert errors(town, doings.mint_tokens(town, 0, 0), 1) == [None]
    assert errors(town, doings.move_tokens(town, 0, 8), 2) == [None, None]
    hers = make.token_address(program, mint, other.pubkey())
    too_much = make.move_tokens(program, hers, hers, other.pubkey(), 10**9)
    assert errors(town, [town.sign([too_much], [other])], 0) == ['{"InstructionError":[0,{"Custom":1}]}']
    assert errors(town, doings.close_tokens(town, 0, 4), 1) == ['{"InstructionError":[0,{"Custom":11}]}']
    assert errors(town, doings.close_tokens(town, 0, 1), 2) == [None]
    assert town.world.ledger.account(bytes(hers)) == b""
    assert owner is town.people[0]


def test_nonces(town: Town) -> None:
    assert errors(town, doings.make_nonce(town, 0, 0)) == [None]
    key = town.nonces[0].pubkey()
    values = set()
    for stage in range(3):
        town.seal()
        assert errors(town, doings.advance_nonce(town, 0, 1), stage) == [None]
        values.add(town.world.ledger.account(bytes(key))[49 + 40 : 49 + 72])
    assert len(values) == 3
    town.seal(151)
    used = doings.use_nonce(town, 0, 1)
    # A failing one advances it, too, and pays.
    amount = transfer(
        TransferParams(from_pubkey=town.people[0].pubkey(), to_pubkey=town.people[1].pubkey(), lamports=10**18)
    )
    stored = Hash.from_bytes(town.world.ledger.account(bytes(key))[49 + 40 : 49 + 72])
    advance = doings.advancing(key, town.people[0].pubkey())
    failing = town.sign([advance, amount], [town.people[0]], blockhash=stored)
    assert town.one(failing, 1).err == '{"InstructionError":[1,{"Custom":1}]}'
    assert town.world.ledger.account(bytes(key))[49 + 40 : 49 + 72] != bytes(stored)
    assert not any(outcome.ok for outcome in town.run(used, 2) if outcome is not None)
    town.seal()
    assert None in errors(town, doings.use_nonce(town, 0, 1), 0)
    assert errors(town, doings.change_nonce(town, 0, 2), 1) == [None]


def test_lookup_tables_live_as_long_as_on_solana(town: Town) -> None:
    assert errors(town, program_doings.make_table(town, 0, 0)) == [None, None]
    assert errors(town, program_doings.use_table(town, 0, 5), 1) == ['"InvalidAddressLookupTableIndex"']
    town.seal()
    assert errors(town, program_doings.use_table(town, 0, 5), 2) == [None]
    assert errors(town, program_doings.end_table(town, 0, 1), 0) == [None]
    for slots in (1, 200, 300):
        town.seal(slots)
        assert errors(town, program_doings.use_table(town, 0, 5 + 28 * slots), 1) == [None]
    assert errors(town, program_doings.end_table(town, 0, 0), 0) == ['{"InstructionError":[0,"InvalidArgument"]}']
    town.seal(15)
    assert errors(town, program_doings.end_table(town, 0, 0), 2) == [None]
    assert town.world.ledger.account(bytes(town.tables[0].key)) == b""


def test_sysvars_are_those_of_the_slot_on_every_stage(town: Town) -> None:
    program = deploy(town, sbpf.peeking(40))
    payer = town.people[2]
    for number, key in enumerate(make.SYSVARS[:4] * 2):
        for stage in range(3):
            memo = make.memo(f"look {number} {stage}", payer.pubkey())
            transaction = town.sign([make.call(program, b"", (key, "")), memo], [payer])
            assert town.one(transaction, stage).err is None
        town.seal(1 + number)


def test_reserved_keys_cannot_be_written(town: Town) -> None:
    program, payer = deploy(town, sbpf.telling(3)), town.people[1]
    for number, key in enumerate(make.RESERVED):
        amount = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=key, lamports=1_000_000 + number))
        assert town.one(town.sign([amount], [payer]), number).fee == 5_000
        named = make.call(program, bytes([number]), (key, "w"))
        assert town.one(town.sign([named], [payer]), number + 1).fee == 5_000


def test_large_accounts(town: Town) -> None:
    """The largest that Solana has, written to again and again from several stages."""
    payer, large = town.people[0], town.new_key()
    space = 10 * 1024 * 1024
    make_it = create_account(
        CreateAccountParams(
            from_pubkey=payer.pubkey(),
            to_pubkey=large.pubkey(),
            lamports=make.rent(space),
            space=space,
            owner=make.SYSTEM,
        )
    )
    assert errors(town, [town.sign([make_it], [payer, large])]) == [None]
    for number in range(3):
        source = town.people[number]
        amount = transfer(TransferParams(from_pubkey=source.pubkey(), to_pubkey=large.pubkey(), lamports=1 + number))
        assert errors(town, [town.sign([amount], [source])], number) == [None]


def test_what_cannot_be_loaded_pays_and_changes_nothing(town: Town) -> None:
    for number in range(4):
        assert all(errors(town, program_doings.call_nothing(town, 1, number), number))
        town.seal()


@pytest.mark.real_redis
def test_everything_on_a_real_server(redis_client: redis.Redis) -> None:
    town = Town.found(redis_client, 3)
    test_everything_once_on_every_stage(town)
    town.seal()
    assert_agrees(town.world.blocks)


def test_everything_once_on_every_stage(town: Town) -> None:
    every = {**doings.DOINGS, **program_doings.PROGRAM_DOINGS}
    for stage in range(3):
        for number, doing in enumerate(every.values()):
            town.run(doing(town, number + stage, 7 * number + stage), stage)
        town.seal()
    assert len(town.outcomes) > 3 * len(every)
    assert sum(outcome.ok for outcome in town.outcomes) > len(town.outcomes) // 2


def test_what_the_vm_breaks_down_on_pays_and_changes_nothing(town: Town) -> None:
    """It panics where a closed program is named as writable, and somebody paid to where its code was."""
    program, authority = deploy(town, sbpf.telling(1)), town.people[0]
    town.seal()
    town.one(town.sign([make.close_program(program, authority.pubkey())], [authority]), 0)
    town.seal()
    payer = town.people[1]
    params = TransferParams(from_pubkey=payer.pubkey(), to_pubkey=make.program_data(program), lamports=make.rent(0) + 7)
    assert town.one(town.sign([transfer(params)], [payer]), 1).ok
    naming = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=program, lamports=5))
    for stage in range(3):
        outcome = town.one(town.sign([make.memo(str(stage), payer.pubkey()), naming], [payer]), stage)
        assert (outcome.err, outcome.fee) == ('{"InstructionError":[0,"ProgramFailedToComplete"]}', 5_000)
        assert town.one(town.sign([make.memo(f"then {stage}", payer.pubkey())], [payer]), stage).ok


LOADER_2 = Pubkey.from_string("BPFLoader2111111111111111111111111111111111")
#: Made by a genesis only: no loader lets them come into being.
HOPELESS = {
    7: Account(10**9, b"no elf at all", LOADER_2, executable=True),
    8: Account(10**9, b"\2\0\0\0" + bytes([9]) * 32, make.LOADER, executable=True),
    9: Account(10**9, b"\3\0\0\0" + bytes(41) + b"garbage", make.LOADER, executable=False),
    10: Account(10**9, b"of no loader", Pubkey(bytes([77]) * 32), executable=True),
    11: Account(10**9, b"short", make.LOADER, executable=True),
}


def test_programs_that_do_not_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    made = genesis_accounts

    def with_hopeless(faucet: Pubkey, lamports: int) -> dict[bytes, bytes]:
        return made(faucet, lamports) | {bytes([one]) * 32: pack_account(account) for one, account in HOPELESS.items()}

    monkeypatch.setattr("tests.support.ledgers.genesis_accounts", with_hopeless)
    town = Town.found(fakeredis.FakeRedis(version=(6, 2)))
    payer, seen = town.people[0], set()
    for number in HOPELESS:
        key = Pubkey(bytes([number]) * 32)
        for flags in ("", "w"):
            call = make.call(key, b"", (key, flags))
            memo = make.memo(f"{number} {flags}", payer.pubkey())
            seen.add(town.one(town.sign([memo, call], [payer]), number).err)
        params = TransferParams(from_pubkey=payer.pubkey(), to_pubkey=key, lamports=7)
        town.one(town.sign([transfer(params)], [payer]), number)
    assert seen == {'{"InstructionError":[1,"UnsupportedProgramId"]}', '"InvalidProgramForExecution"'}
    town.seal()
    assert_agrees(town.world.blocks)
