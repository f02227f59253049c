"""Asking the oracle about ledgers of tests."""

from __future__ import annotations

from collections.abc import Sequence

from banking.blocks.store import BlockStore
from oracle import Block, Replay, Report, replay
from oracle.format import read_block
from oracle.source import block_name, block_slots
from workers.cli.commands.archive import LedgerObjects


def trusted(blocks: BlockStore) -> set[bytes]:
    return {blocks.identity.public_key, *blocks.trusted_keys}


def opinion(blocks: BlockStore, first: int = 0) -> Report:
    """What the oracle says of the whole archive."""
    return replay(LedgerObjects(blocks), trusted(blocks), first=first)


def read_all(blocks: BlockStore) -> list[Block]:
    """Every block as the oracle reads it, for tests that change what it says."""
    source = LedgerObjects(blocks)
    return [read_block(source.get(block_name(slot)), trusted(blocks)) for slot in block_slots(source)]


def opinion_of(blocks: Sequence[Block]) -> Report:
    """What the oracle says of blocks that were read (and changed) before."""
    one = Replay()
    for block in blocks:
        one.add(block)
    return one.finish()


def assert_agrees(blocks: BlockStore) -> Report:
    """The oracle agrees with all that is archived, and had something to say."""
    report = opinion(blocks)
    assert report.ok, "\n".join(report.lines())
    return report
