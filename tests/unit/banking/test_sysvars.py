"""What an execution sees of its slot: the same in every process, derived from the headers of blocks alone."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import fakeredis
import pytest
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage
from banking.ledger.ledger import Ledger
from banking.ledger.records import Outcome
from banking.restore.ledger_recovery import LedgerRecovery
from banking.transaction import SignedTransaction, verify
from recovery.archive import ArchiveUnavailable, MemoryArchive
from tests.support.ledgers import SOL, World, new_world, sign

TABLES = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
SYSVARS = {
    name: Pubkey.from_string(text)
    for name, text in {
        "clock": "SysvarC1ock11111111111111111111111111111111",
        "slot hashes": "SysvarS1otHashes111111111111111111111111111",
        "slot history": "SysvarS1otHistory11111111111111111111111111",
        "recent blockhashes": "SysvarRecentB1ockHashes11111111111111111111",
    }.items()
}


@pytest.fixture
def world() -> World:
    return new_world(fakeredis.FakeRedis(version=(6, 2)), archive=Away())


def another_stage(world: World) -> BankingStage:
    """As another process has it."""
    return BankingStage(Ledger(world.ledger.client, world.ledger.keys.name), SvmExecutor())


def outcome(world: World, transaction: SignedTransaction, stage: BankingStage | None = None) -> Outcome:
    (stage or world.stage).process([transaction])
    (found,) = world.ledger.outcomes([transaction.signature])
    assert found is not None
    return found


def seen(world: World, stage: BankingStage) -> dict[str, bytes]:
    """The sysvars that `stage` executes with, after a transaction that names them all."""
    metas = [AccountMeta(world.faucet.pubkey(), True, False), *(AccountMeta(k, False, False) for k in SYSVARS.values())]
    # The memo program wants signers only, and fails; the accounts were loaded by then.
    outcome(
        world,
        verify(bytes(sign([Instruction(MEMO, bytes(Keypair().pubkey()), metas)], [world.faucet], world.blockhash()))),
        stage,
    )
    vm: Any = stage._executor._vm._vm
    return {name: bytes(vm.get_account(key).data) for name, key in SYSVARS.items()}


class Away(MemoryArchive):
    """An archive that takes nothing while `away`."""

    away = False

    def put(self, name: str, data: bytes) -> None:
        if self.away:
            raise ArchiveUnavailable("away")
        super().put(name, data)


def close_only(world: World) -> None:
    """The slot is closed, and its block is on the way to the archive."""
    archive: Any = world.blocks.archive
    archive.away = True
    with pytest.raises(ArchiveUnavailable):
        world.seal()
    archive.away = False


def expected(world: World, slot: int) -> dict[str, bytes]:
    """As docs/execution.md derives them."""
    headers = {k: world.blocks.header(k) for k in range(max(0, slot - 512), slot - 1)}
    # The block of the slot before may be missing yet, but what its header says of time and parent is settled.
    state: Any = world.ledger.client.hgetall(world.ledger.epoch_keys.state)
    newest = world.blocks.newest() or 0
    time_ms = world.blocks.header(slot - 1).time_ms if newest == slot - 1 else int(state[b"closing_time"])
    parents = [(k, headers[k].parent) for k in sorted(headers, reverse=True)]
    parents.insert(0, (slot - 1, world.blocks.header(slot - 2).hash() if slot > 1 else bytes(32)))
    seconds = time_ms // 1000
    hashes = b"".join(k.to_bytes(8, "little") + parent for k, parent in parents)
    recent = b"".join(parent + (5000).to_bytes(8, "little") for _, parent in parents[:150])
    bits = sum(1 << k for k in range(slot)).to_bytes(131_072, "little")
    return {
        "clock": struct.pack("<QqQQq", slot, seconds, 0, 1, seconds),
        "slot hashes": (len(parents).to_bytes(8, "little") + hashes).ljust(20_488, b"\0"),
        "recent blockhashes": (min(len(parents), 150).to_bytes(8, "little") + recent).ljust(6_008, b"\0"),
        "slot history": b"\1" + struct.pack("<Q", 16_384) + bits + struct.pack("<QQ", 1 << 20, slot),
    }


def test_sysvars_follow_from_the_headers_in_every_process_and_at_every_moment(world: World) -> None:
    old = another_stage(world)
    for _ in range(5):
        slot = world.ledger.state().slot
        assert seen(world, old) == seen(world, another_stage(world)) == expected(world, slot)
        close_only(world)
        waiting = seen(world, another_stage(world))
        assert waiting == expected(world, slot + 1)
        # The archive gets the closed slot's block while the next slot is open: nothing changes for that one.
        world.seal()
        assert seen(world, another_stage(world)) == seen(world, old) == waiting
        # Close and seal what is open, so that the next turn starts right after a seal.
        world.seal()


def test_restored_ledger_has_the_same_sysvars(world: World) -> None:
    for _ in range(4):
        world.seal()
    world.ledger.client.flushall()
    LedgerRecovery(world.ledger, world.blocks).ensure_consistent()
    slot = world.ledger.state().slot
    assert seen(world, another_stage(world)) == expected(world, slot)


@pytest.mark.parametrize("again", [False, True], ids=["restored", "restored from a checkpoint made of it"])
def test_checkpoint_with_fewer_hashes_is_completed(world: World, monkeypatch: pytest.MonkeyPatch, again: bool) -> None:
    """As those of older versions, which kept 300."""
    for _ in range(8):
        world.seal()
    ledger_recovery = LedgerRecovery(world.ledger, world.blocks)
    with monkeypatch.context() as patch:
        patch.setattr("banking.restore.snapshot.SLOT_HASHES", 3)
        patch.setattr("banking.restore.checkpointing.fill_hashes", lambda *_: None)
        ledger_recovery.create_checkpoint()
    world.seal()
    if again:
        ledger_recovery.create_checkpoint(full=True)
        world.seal()
    world.ledger.client.flushall()
    ledger_recovery.ensure_consistent()
    assert seen(world, another_stage(world)) == expected(world, world.ledger.state().slot)


def test_execution_for_a_slot_that_was_closed_meanwhile_is_repeated(world: World) -> None:
    """A program may look at the clock, so what was executed for one slot is no outcome of the next."""
    metas = [AccountMeta(world.faucet.pubkey(), True, False)]
    memo = verify(bytes(sign([Instruction(MEMO, b"hello", metas)], [world.faucet], world.blockhash())))
    plain = world.transfer(world.faucet, Keypair().pubkey(), SOL)
    original = world.ledger.commit
    codes: list[str] = []

    def commit(*args: Any, **more: Any) -> Any:
        if not codes:
            world.seal()
        answer = original(*args, **more)
        codes.append(answer.codes)
        return answer

    world.ledger.commit = commit  # type: ignore[method-assign]
    stage = world.stage
    report = stage.process([plain, memo])
    # A transfer sees nothing of its slot, and stands; it pays from the account that the memo reads, too.
    assert codes == ["AC", "A"]
    assert len(report.committed) == 2
    (found,) = world.ledger.outcomes([memo.signature])
    assert found is not None
    assert found.slot == stage._executor._vm.context.slot == world.ledger.state().slot


# ---- lookup tables


def table_instruction(
    world: World, number: int, table: Pubkey, data: bytes = b"", *, fund: bool = False
) -> Instruction:
    owner = world.faucet.pubkey()
    metas = [AccountMeta(table, False, True), AccountMeta(owner, True, False)]
    if fund:
        metas += [AccountMeta(owner, True, True), AccountMeta(Pubkey.default(), False, False)]
    return Instruction(TABLES, number.to_bytes(4, "little") + data, metas)


def run(world: World, instruction: Instruction) -> Outcome:
    return outcome(world, verify(bytes(sign([instruction], [world.faucet], world.blockhash()))))


def test_deactivated_lookup_table_lives_512_slots(world: World) -> None:
    target, owner = Keypair().pubkey(), world.faucet.pubkey()
    world.seal()
    recent = world.ledger.state().slot - 1
    table, bump = Pubkey.find_program_address([bytes(owner), recent.to_bytes(8, "little")], TABLES)
    assert run(world, table_instruction(world, 0, table, recent.to_bytes(8, "little") + bytes([bump]), fund=True)).ok
    assert run(world, table_instruction(world, 2, table, (1).to_bytes(8, "little") + bytes(target), fund=True)).ok
    world.seal()
    assert run(world, table_instruction(world, 3, table)).ok
    deactivated = world.ledger.state().slot

    def use(lamports: int) -> str | None:
        params = TransferParams(from_pubkey=owner, to_pubkey=target, lamports=lamports)
        known = AddressLookupTableAccount(table, [target])
        message = MessageV0.try_compile(owner, [transfer(params)], [known], world.blockhash())
        transaction = verify(bytes(VersionedTransaction(message, [world.faucet])))
        if another_stage(world).process([transaction]).refused:
            return world.ledger.refusals([transaction.signature])[0]
        return outcome(world, transaction).err

    assert use(SOL) is None
    while world.ledger.state().slot < deactivated + 512:
        world.seal()
    assert use(SOL + 1) is None
    world.seal()
    assert use(SOL + 2) == '"AddressLookupTableNotFound"'
    assert world.balance(target) == 2 * SOL + 1


def test_environment_blockhash_makes_the_durable_nonce(world: World) -> None:
    for _ in range(3):
        world.seal()
    slot = world.ledger.state().slot
    world.stage.simulate(world.transfer(world.faucet, Keypair().pubkey(), SOL))
    context = world.stage._executor._vm.context
    assert context.blockhash == world.blocks.header(slot - 1).parent == world.blocks.header(slot - 2).hash()
    assert hashlib.sha256(b"DURABLE_NONCE" + context.blockhash).digest()
