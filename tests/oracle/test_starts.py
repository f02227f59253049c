"""Where a replay begins: at the genesis, at a slot, behind a checkpoint when the first blocks are gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fakeredis
import pytest
import redis

from banking.blocks.store import BlockStore
from banking.restore.ledger_recovery import LedgerRecovery
from oracle import BadArchive, FolderSource, replay
from recovery.archive import MemoryArchive
from recovery.identity import Identity
from tests.support.ledgers import SOL, World, new_world
from tests.support.oracle.opinions import assert_agrees, opinion, trusted
from tests.support.paths import SUPPORT


@pytest.fixture
def world() -> Iterator[World]:
    client: redis.Redis = fakeredis.FakeRedis(version=(6, 2))
    made = new_world(client)
    made.fund(2)
    made.seal()
    yield made
    client.close()


def live_on(world: World, slots: int) -> None:
    """Slots with a transfer each; an account that comes and one that goes."""
    for number in range(slots):
        (guest,) = world.fund(1, SOL + number)
        if number % 2:
            world.stage.process([world.transfer(guest, world.faucet.pubkey(), SOL + number - 5_000)])
        world.seal()


@pytest.mark.parametrize("checkpoints", [1, 3])
def test_behind_a_checkpoint_it_is_the_same(world: World, checkpoints: int) -> None:
    ledger_recovery = LedgerRecovery(world.ledger, world.blocks)
    for _ in range(checkpoints):
        live_on(world, 4)
        ledger_recovery.create_checkpoint()
    live_on(world, 3)
    whole = assert_agrees(world.blocks)
    newest = 1 + 4 * checkpoints + 3
    from_there = opinion(world.blocks, first=newest)
    assert from_there.ok, from_there.lines()
    assert (from_there.first_slot, from_there.transactions) == (newest, 1)
    assert from_there.state == whole.state
    # As after a clean-up: what lies before the newest checkpoint is gone.
    for slot in range(4 * checkpoints + 1):
        world.blocks.delete(slot)
    rest = assert_agrees(world.blocks)
    assert rest.state == whole.state
    assert rest.first_slot == 4 * checkpoints + 2


def test_a_damaged_checkpoint_is_passed_over(world: World) -> None:
    ledger_recovery = LedgerRecovery(world.ledger, world.blocks)
    live_on(world, 2)
    ledger_recovery.create_checkpoint(full=True)
    live_on(world, 2)
    made = ledger_recovery.create_checkpoint(full=True)
    archive = world.blocks.archive
    assert isinstance(archive, MemoryArchive)
    name = next(one for one in archive.list("") if made.id in one and one.endswith(".zst"))
    data = archive.get(name, 1 << 30)
    archive.delete(name)
    archive.put(name, data[:-1] + bytes([data[-1] ^ 1]))
    live_on(world, 1)
    report = opinion(world.blocks, first=6)
    assert report.ok
    assert report.state == assert_agrees(world.blocks).state


def test_without_the_first_blocks_or_a_checkpoint_there_is_no_opinion(world: World) -> None:
    world.blocks.delete(0)
    with pytest.raises(BadArchive, match="the first blocks are gone"):
        opinion(world.blocks)


def test_a_restored_ledger_goes_on_in_agreement(world: World) -> None:
    """A new epoch, from a checkpoint and blocks: sysvars and blockhashes are those of the chain."""
    ledger_recovery = LedgerRecovery(world.ledger, world.blocks)
    live_on(world, 3)
    ledger_recovery.create_checkpoint()
    live_on(world, 2)
    world.ledger.client.flushall()
    world.ledger.forget_epoch()
    ledger_recovery.ensure_consistent()
    live_on(world, 2)
    assert_agrees(world.blocks)


OLD = SUPPORT / "blocks_v1"


def test_the_first_block_format_is_read_for_ever(tmp_path: Path) -> None:
    folder = tmp_path / "blocks" / f"{0:09d}"
    folder.mkdir(parents=True)
    for slot in range(4):
        (folder / f"{slot:012d}.block").write_bytes((OLD / f"{slot}.block").read_bytes())
    report = replay(FolderSource(tmp_path), {bytes.fromhex((OLD / "signer.hex").read_text())})
    assert report.ok, report.lines()
    assert (report.last_slot, report.transactions > 2) == (3, True)


def test_blocks_of_somebody_else_are_refused(world: World) -> None:
    other = BlockStore(world.blocks.archive, world.blocks.ledger, Identity.generate())
    with pytest.raises(BadArchive, match="trusted key"):
        opinion(other)
    assert opinion(BlockStore(other.archive, other.ledger, other.identity, list(trusted(world.blocks)))).ok
