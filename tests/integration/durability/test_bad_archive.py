"""Damaged, forged, missing and old objects in the archive's real files: found, passed over or refused, never served."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from banking.audit.audit import audit
from banking.blocks.block import encode_body
from banking.blocks.store import BlockStore
from banking.errors import ArchiveBehind, BadBlock, LedgerRestoring
from banking.restore.consistency import ConsistencyState
from banking.restore.ledger_recovery import LedgerRecovery
from recovery.checkpoints import NoUsableCheckpoint
from recovery.identity import Identity
from tests.support.durability.node import Node

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]


def files_of(node: Node, checkpoint_id: str) -> list[Path]:
    """The checkpoint's files, the manifest last."""
    found = sorted((node.place.folder / "archive" / node.ledger_recovery.store.folder / checkpoint_id).iterdir())
    return sorted(found, key=lambda path: path.suffix == ".manifest")


def block_file(node: Node, slot: int) -> Path:
    return node.place.folder / "archive" / node.world.blocks.name(slot)


def flip_bit(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << (at % 8)
    path.write_bytes(data)


def refused(node: Node) -> None:
    """Nothing is served."""
    node.world.ledger.forget_epoch()
    with pytest.raises(LedgerRestoring):
        node.world.ledger.state()


@pytest.mark.parametrize("damage", ["truncate", "flip"])
@pytest.mark.parametrize("which", [0, -1], ids=["chunk", "manifest"])
def test_newest_checkpoint_is_bad(node: Node, damage: str, which: int) -> None:
    """The one before it is used, the blocks close the gap, the bad one is kept aside and told."""
    node.ledger_recovery.create_checkpoint(full=True)
    node.pay_finally()
    bad = node.ledger_recovery.create_checkpoint(full=True)
    node.pay_finally()
    before = node.accounts()
    path = files_of(node, bad.id)[which]
    if damage == "truncate":
        os.truncate(path, path.stat().st_size * 2 // 3)
    else:
        flip_bit(path, path.stat().st_size // 3)
    node.empty()
    assert node.run("ensure") == 0
    node.world.ledger.forget_epoch()
    assert node.accounts() == before
    if which == -1:
        # Nothing vouches for this manifest: it may be another node's, so only a person may move it.
        failed = [check for check in audit(node.world.ledger, node.world.blocks).checks if not check.ok]
        assert [check.id for check in failed] == ["I7"]
        assert bad.id in failed[0].detail
        node.ledger_recovery.store.quarantine(bad.id)
    assert bad.id not in node.ledger_recovery.store.ids()
    assert any(bad.id in name for name in node.world.blocks.archive.list("quarantine"))
    node.assert_sound()


def test_all_checkpoints_are_bad_and_the_blocks_reach_back(node: Node) -> None:
    for _ in range(3):
        node.pay_finally()
        made = node.ledger_recovery.create_checkpoint(full=True)
        flip_bit(files_of(node, made.id)[0], 10)
    before = node.accounts()
    node.empty()
    assert node.run("ensure") == 0
    node.world.ledger.forget_epoch()
    assert node.accounts() == before


def test_all_checkpoints_are_bad_and_the_blocks_do_not_reach_back(node: Node) -> None:
    made = node.ledger_recovery.create_checkpoint(full=True)
    flip_bit(files_of(node, made.id)[0], 10)
    block_file(node, 0).unlink()
    node.empty()
    with pytest.raises(NoUsableCheckpoint, match=made.id):
        node.ledger_recovery.ensure_consistent()
    refused(node)


@pytest.mark.parametrize("damage", ["missing", "flip", "truncate", "swap"])
def test_a_bad_block_in_the_middle_is_named_and_never_skipped(node: Node, damage: str) -> None:
    node.ledger_recovery.create_checkpoint(full=True)
    for _ in range(4):
        node.pay_finally()
    bad = node.world.ledger.state().finalized - 2
    path = block_file(node, bad)
    good = path.read_bytes()
    if damage == "flip":
        flip_bit(path, 200)
    elif damage == "truncate":
        os.truncate(path, 100)
    elif damage == "swap":
        path.write_bytes(block_file(node, bad - 1).read_bytes())
    else:
        path.unlink()
    node.empty()
    with pytest.raises(BadBlock, match=f"slot {bad}"):
        node.ledger_recovery.ensure_consistent()
    refused(node)
    path.write_bytes(good)
    path.chmod(0o600)
    assert node.run("ensure") == 0
    node.assert_sound()


def test_the_newest_block_is_bad(node: Node) -> None:
    newest = node.world.blocks.newest()
    assert newest is not None
    flip_bit(block_file(node, newest), 50)
    with pytest.raises(BadBlock, match=f"slot {newest}"):
        node.ledger_recovery.ensure_consistent()
    node.empty()
    with pytest.raises(BadBlock, match=f"slot {newest}"):
        node.ledger_recovery.ensure_consistent()


def test_a_checkpoint_rewritten_and_signed_by_another_key_is_refused(node: Node) -> None:
    """A whole checkpoint with matching hashes, more lamports for somebody, and a stranger's signature."""
    node.ledger_recovery.create_checkpoint(full=True)
    before = node.accounts()
    forger = BlockStore(node.world.blocks.archive, node.world.blocks.ledger, Identity.generate())
    trusting = BlockStore(forger.archive, forger.ledger, forger.identity, [node.world.blocks.identity.public_key])
    forged = LedgerRecovery(node.world.ledger, trusting).create_checkpoint(full=True)
    node.empty()
    assert node.run("ensure") == 0
    node.world.ledger.forget_epoch()
    assert node.accounts() == before
    report = audit(node.world.ledger, node.world.blocks)
    assert [(check.id, forged.id in check.detail) for check in report.checks if not check.ok] == [("I7", True)]


def test_a_block_signed_by_another_key_is_refused(node: Node) -> None:
    newest = node.world.blocks.newest()
    assert newest is not None
    block = node.world.blocks.read(newest)
    node.world.blocks.delete(newest)
    forger = BlockStore(node.world.blocks.archive, node.world.blocks.ledger, Identity.generate())
    forger.put(block.header, encode_body(block.entries, block.images))
    node.empty()
    with pytest.raises(BadBlock, match="trusted key"):
        node.ledger_recovery.ensure_consistent()


def test_an_older_checkpoint_put_back_is_replayed_to_the_head(node: Node) -> None:
    node.ledger_recovery.create_checkpoint(full=True)
    for _ in range(3):
        node.pay_finally()
        node.ledger_recovery.create_checkpoint(full=True)
    before = node.accounts()
    for checkpoint_id in node.ledger_recovery.store.ids()[1:]:
        node.ledger_recovery.store.delete(checkpoint_id)
    node.empty()
    assert node.run("ensure") == 0
    node.world.ledger.forget_epoch()
    assert node.accounts() == before
    node.assert_sound()


def test_an_archive_that_ends_before_the_ledger_is_refused(node: Node) -> None:
    """An old copy of the archive was put back: it must not overwrite a ledger that knows more, nor be built upon."""
    node.pay_finally()
    newest = node.world.blocks.newest()
    assert newest is not None
    block = block_file(node, newest).read_bytes()
    block_file(node, newest).unlink()
    before = node.accounts()
    report = node.ledger_recovery.ensure_consistent(keep_waiting=lambda _: False)
    assert report.state is ConsistencyState.ARCHIVE_BEHIND
    assert f"slot {newest}" in report.detail
    node.pay()
    with pytest.raises(ArchiveBehind, match=f"slot {newest}"):
        node.world.seal()
    assert len(node.accounts()) == len(before) + 1
    block_file(node, newest).write_bytes(block)
    block_file(node, newest).chmod(0o600)
    node.world.seal()
    node.assert_sound()
