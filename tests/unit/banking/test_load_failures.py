"""Transactions whose programs cannot be loaded: Agave's errors, and its fees."""

from __future__ import annotations

import fakeredis
import pytest
from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from banking.ledger.records import Outcome, pack_account
from banking.transaction import verify
from tests.support import programs
from tests.support.ledgers import SOL, World, new_world, sign

FEE = 5_000
NOT_FOUND = '"ProgramAccountNotFound"'
NO_PROGRAM = '"InvalidProgramForExecution"'


@pytest.fixture
def world() -> World:
    return new_world(fakeredis.FakeRedis(version=(6, 2)))


def run(world: World, instructions: list[Instruction], payer: Keypair | None = None, *more: Keypair) -> Outcome:
    transaction = verify(bytes(sign(instructions, [payer or world.faucet, *more], world.blockhash())))
    simulated = world.stage.simulate(transaction).result
    world.stage.process([transaction])
    (found,), (refused,) = (
        world.ledger.outcomes([transaction.signature]),
        world.ledger.refusals([transaction.signature]),
    )
    if refused is not None:
        # It has no outcome then, and costs nothing.
        assert found is None
        found = Outcome(0, 0, refused, 0, 0, [])
    assert found is not None
    assert simulated.err == found.err
    return found


def pay(world: World, target: Pubkey, lamports: int = SOL) -> Instruction:
    return transfer(TransferParams(from_pubkey=world.faucet.pubkey(), to_pubkey=target, lamports=lamports))


def test_unknown_program(world: World) -> None:
    before, target = world.balance(world.faucet.pubkey()), Keypair().pubkey()
    found = run(world, [pay(world, target), Instruction(Keypair().pubkey(), b"", [])])
    assert (found.err, found.fee) == (NOT_FOUND, FEE)
    assert world.balance(world.faucet.pubkey()) == before - FEE
    assert world.balance(target) == 0
    # The VM of this process knows of the fee.
    assert run(world, [pay(world, target)]).err is None
    assert world.balance(world.faucet.pubkey()) == before - 2 * FEE - SOL


def test_account_that_is_no_program(world: World) -> None:
    (wallet,) = world.fund(1)
    found = run(world, [Instruction(wallet.pubkey(), b"", [])])
    assert (found.err, found.fee) == (NO_PROGRAM, FEE)


def test_first_fault_is_told(world: World) -> None:
    (wallet,) = world.fund(1)
    bad = [Instruction(wallet.pubkey(), b"", []), Instruction(Keypair().pubkey(), b"", [])]
    assert run(world, bad).err == NO_PROGRAM
    assert run(world, bad[::-1]).err == NOT_FOUND


@pytest.mark.parametrize(
    ("lamports", "error"), [(0, '"AccountNotFound"'), (FEE - 1, '"InsufficientFundsForFee"'), (FEE, NOT_FOUND)]
)
def test_payer_is_looked_at_first(world: World, lamports: int, error: str) -> None:
    payer = Keypair()
    if lamports:
        # Less than what exempts it from rent, as an old account may have.
        record = pack_account(Account(lamports=lamports, data=b"", owner=Pubkey.default(), executable=False))
        world = new_world(fakeredis.FakeRedis(version=(6, 2)), more={bytes(payer.pubkey()): record})
    found = run(world, [Instruction(Keypair().pubkey(), b"", [])], payer)
    assert (found.err, found.fee) == (error, FEE if lamports == FEE else 0)
    assert world.balance(payer.pubkey()) == (0 if lamports == FEE else lamports)


def test_buffer_called_as_a_program_has_no_code(world: World) -> None:
    """Agave loads what belongs to a loader, and finds at the call that there is nothing to run."""
    buffer, target = Keypair(), Keypair().pubkey()
    groups = programs.buffer_instructions(world.faucet.pubkey(), buffer.pubkey(), programs.elf())
    assert run(world, groups[0], None, buffer).ok
    found = run(world, [pay(world, target), Instruction(buffer.pubkey(), b"", [])])
    assert (found.err, found.fee) == ('{"InstructionError":[1,"UnsupportedProgramId"]}', FEE)
    assert world.balance(target) == 0
    # It is still the buffer that it was, and the VM has forgotten that it was called.
    vm = world.stage._executor._vm
    assert bytes(buffer.pubkey()) in vm._programs.cached
    world.stage.simulate(verify(bytes(sign([pay(world, buffer.pubkey())], [world.faucet], world.blockhash()))))
    assert bytes(buffer.pubkey()) not in vm._programs.cached
    for group in groups[1:]:
        assert run(world, group).ok
    program = Keypair()
    most = len(programs.elf())
    deploy = programs.deploy_instructions(world.faucet.pubkey(), program.pubkey(), buffer.pubkey(), most)
    assert run(world, deploy, None, program).ok
    assert run(world, [programs.call(program.pubkey(), world.faucet.pubkey())]).ok


def broken(owner: Pubkey) -> bytes:
    return pack_account(Account(lamports=SOL, data=b"\x7fELF and nothing else", owner=owner, executable=True))


@pytest.mark.parametrize(
    ("owner", "error"),
    [
        ("BPFLoader2111111111111111111111111111111111", '{"InstructionError":[0,"UnsupportedProgramId"]}'),
        ("BPFLoaderUpgradeab1e11111111111111111111111", '{"InstructionError":[0,"UnsupportedProgramId"]}'),
        ("11111111111111111111111111111111", NO_PROGRAM),
    ],
)
def test_program_of_the_genesis_that_cannot_be_verified(owner: str, error: str) -> None:
    key, record = Keypair().pubkey(), broken(Pubkey.from_string(owner))
    world = new_world(fakeredis.FakeRedis(version=(6, 2)), more={bytes(key): record})
    found = run(world, [Instruction(key, b"", [AccountMeta(world.faucet.pubkey(), True, False)])])
    assert (found.err, found.fee) == (error, FEE)
    assert world.ledger.account(bytes(key)) == record
    # Lamports may be sent there; the account is otherwise as it was.
    assert run(world, [pay(world, key)]).err is None
    assert world.ledger.account(bytes(key)) == (2 * SOL).to_bytes(8, "little") + record[8:]
