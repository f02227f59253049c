"""Sealers that sleep, race, or belong to an epoch that is no more: one chain, and the late one changes nothing."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.durability.node import Node

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]

POINTS = ["seal.closed", "archive.before-write", "archive.before-link", "archive.before-folder-fsync", "seal.archived"]


def chain(node: Node) -> list[bytes]:
    return [block.hash for block in node.world.blocks.follow(0, None)]


@pytest.mark.parametrize("point", POINTS)
def test_stopped_sealer_that_goes_on_after_others_sealed_on(node: Node, point: str) -> None:
    node.pay()
    late = node.stop_at("seal", point)
    for _ in range(3):
        node.pay_finally()
    before = chain(node)
    assert node.resume(late) == 0
    assert chain(node) == before
    node.assert_sound()


@pytest.mark.parametrize("point", POINTS)
def test_stopped_sealer_that_goes_on_after_a_restore(node: Node, point: str) -> None:
    """Its block is either part of what was restored, or it never becomes a block."""
    (transaction,) = node.pay()
    slot = node.world.ledger.state().slot
    late = node.stop_at("seal", point)
    archived = node.world.blocks.exists(slot)
    node.empty()
    assert node.run("ensure") == 0
    node.world.ledger.forget_epoch()
    node.pay_finally()
    before = chain(node)
    node.resume(late)
    assert chain(node) == before
    assert (node.world.ledger.outcomes([transaction.signature]) != [None]) == archived
    node.assert_sound()


def test_block_of_a_late_sealer_between_the_replay_and_the_opening_of_the_epoch(node: Node) -> None:
    """The restorer has folded the blocks when one more comes in: it starts over, and that block is kept."""
    transactions = node.pay(2)
    sealer = node.stop_at("seal", "archive.before-link")
    node.empty()
    restorer = node.stop_at("ensure", "restore.loaded")
    node.resume(sealer)
    assert node.resume(restorer) == 0
    node.world.ledger.forget_epoch()
    node.finals += transactions
    node.assert_sound()


def test_many_sealers_at_once(node: Node) -> None:
    sealers = [node.begin("seal_often") for _ in range(4)]
    node.pay(20)
    assert [node.finish(process) for process in sealers] == [0] * 4
    node.world.seal()
    node.assert_sound()


def test_sealers_beside_restores(node: Node) -> None:
    """Four sealers go on while Redis is emptied again and again beside them."""
    sealers = [node.begin("seal_often") for _ in range(4)]
    for _ in range(3):
        node.empty()
        assert node.run("ensure") == 0
        node.world.ledger.forget_epoch()
        node.pay_finally()
    for process in sealers:
        node.finish(process)
    node.assert_sound()


def test_twenty_boot_at_once_on_a_lost_ledger_and_the_restorer_is_killed(node: Node, tmp_path: Path) -> None:
    """One new epoch is served in the end, and every process but the killed one comes to serve it."""
    node.ledger_recovery.create_checkpoint()
    node.pay_finally()
    before = node.accounts()
    node.empty()
    flag = tmp_path / "killed"
    workers = [node.begin("ensure", f"restore.loaded@{flag}") for _ in range(20)]
    codes = [node.finish(process) for process in workers]
    assert sorted(codes) == [-signal.SIGKILL] + [0] * 19
    node.world.ledger.forget_epoch()
    assert node.world.ledger.epoch == 3  # the killed one had 2
    assert node.accounts() == before
    node.assert_sound()
