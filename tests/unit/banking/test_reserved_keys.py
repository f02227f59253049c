"""Reserved keys are read-only whatever a message says: the outcome is Solana's, the fee is paid, no dead letter."""

from __future__ import annotations

import fakeredis
import pytest
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from banking.execution.account_access import static_accounts, with_lookups
from banking.execution.executor import SvmExecutor
from banking.execution.reserved import RESERVED
from banking.ledger.records import Outcome
from banking.transaction import SignedTransaction, verify
from tests.support.ledgers import SOL, World, new_world, sign

TABLES = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
KEYS = [Pubkey(key) for key in sorted(RESERVED)]
#: Reserved, and yet accounts of the ledger: programs that are no builtins any more.
BPF = (TABLES, Pubkey.from_string("Stake11111111111111111111111111111111111111"))
READONLY = '{"InstructionError":[0,"ReadonlyLamportChange"]}'


@pytest.fixture(scope="module")
def world() -> World:
    return new_world(fakeredis.FakeRedis(version=(6, 2)))


def outcome(world: World, transaction: SignedTransaction) -> Outcome:
    report = world.stage.process([transaction])
    assert not report.broken
    (found,) = world.ledger.outcomes([transaction.signature])
    assert found is not None
    return found


def test_everything_that_lives_in_the_vm_alone_is_reserved() -> None:
    assert SvmExecutor().native <= RESERVED
    assert len(KEYS) == 31


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_transfer_to_a_reserved_key_fails_and_pays(world: World, key: Pubkey) -> None:
    before = world.balance(world.faucet.pubkey())
    found = outcome(world, world.transfer(world.faucet, key, SOL))
    assert (found.err, found.fee) == (READONLY, 5_000)
    assert world.balance(world.faucet.pubkey()) == before - 5_000


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_reserved_key_named_as_writable_beside_others_does_no_harm(world: World, key: Pubkey) -> None:
    """As old interfaces do with the Rent and Clock sysvars."""
    target = Keypair().pubkey()
    params = TransferParams(from_pubkey=world.faucet.pubkey(), to_pubkey=target, lamports=SOL)
    plain = transfer(params)
    named = Instruction(plain.program_id, plain.data, [*plain.accounts, AccountMeta(key, False, True)])
    found = outcome(world, verify(bytes(sign([named], [world.faucet], world.blockhash()))))
    assert (found.err, found.fee) == (None, 5_000)
    assert world.balance(target) == SOL
    assert bool(world.ledger.account(bytes(key))) == (key in BPF), "nothing was written there"


def test_looked_up_reserved_keys_are_read_only_too(world: World) -> None:
    owner = world.faucet.pubkey()
    world.seal()
    recent = world.ledger.state().slot - 1
    table, bump = Pubkey.find_program_address([bytes(owner), recent.to_bytes(8, "little")], TABLES)
    metas = [AccountMeta(table, False, True), AccountMeta(owner, True, False), AccountMeta(owner, True, True)]
    metas.append(AccountMeta(Pubkey.default(), False, False))
    made = (0).to_bytes(4, "little") + recent.to_bytes(8, "little") + bytes([bump])
    addresses = [key for key in KEYS if key != Pubkey.default()][:24]
    filled = (2).to_bytes(4, "little") + len(addresses).to_bytes(8, "little") + b"".join(map(bytes, addresses))
    for data in (made, filled):
        transaction = verify(bytes(sign([Instruction(TABLES, data, metas)], [world.faucet], world.blockhash())))
        assert outcome(world, transaction).err is None
    world.seal()
    known = AddressLookupTableAccount(table, addresses)
    for key in addresses:
        params = TransferParams(from_pubkey=owner, to_pubkey=key, lamports=SOL)
        message = MessageV0.try_compile(owner, [transfer(params)], [known], world.blockhash())
        transaction = verify(bytes(VersionedTransaction(message, [world.faucet])))
        access = with_lookups(
            transaction, static_accounts(transaction), {bytes(table): world.ledger.account(bytes(table))}
        )
        assert access.loaded_writable == (bytes(key),), "what the message says is still told"
        assert bytes(key) not in access.writable
        found = outcome(world, transaction)
        assert (found.err, found.fee) == (READONLY, 5_000)


def test_batch_with_one_of_them_stays_a_batch(world: World) -> None:
    """One letter used to make the other 63 run one by one."""
    transactions = [world.transfer(world.faucet, Keypair().pubkey(), SOL) for _ in range(3)]
    transactions.insert(1, world.transfer(world.faucet, KEYS[0], SOL))
    report = world.stage.process(transactions)
    assert (len(report.committed), report.broken, report.conflicts) == (4, [], [])
