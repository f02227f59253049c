"""An oracle that always agrees is worth nothing: it must find each of these."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import fakeredis
import pytest
import redis
from solders.keypair import Keypair

from oracle import BadArchive, BadBlock, Block
from oracle.format import Recorded, read_block
from tests.support.ledgers import SOL, World, new_world
from tests.support.oracle.opinions import assert_agrees, opinion, opinion_of, read_all, trusted


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Two slots of transfers, a failing one among them."""
    client: redis.Redis = fakeredis.FakeRedis(version=(6, 2))
    made = new_world(client)
    people = made.fund(3)
    made.seal()
    poor = made.transfer(people[0], Keypair().pubkey(), 1_000 * SOL)
    made.stage.process([*(made.transfer(one, people[0].pubkey(), SOL) for one in people[1:]), poor])
    made.seal()
    yield made
    client.close()


def test_it_agrees_with_a_sound_archive(world: World) -> None:
    report = assert_agrees(world.blocks)
    assert (report.transactions, report.last_slot) == (6, 2)
    assert report.accounts > 12
    assert opinion_of(read_all(world.blocks)).state == report.state


def test_a_later_start_agrees_on_the_state(world: World) -> None:
    late = opinion(world.blocks, first=2)
    assert late.ok
    assert late.transactions == 3
    assert late.state == assert_agrees(world.blocks).state


def change(world: World, edit: Callable[[Recorded], Recorded], *, slot: int = 2, place: int = 0) -> list[Block]:
    """The archive with one entry changed."""
    blocks = read_all(world.blocks)
    entries = list(blocks[slot].entries)
    entries[place] = edit(entries[place])
    blocks[slot] = Block(blocks[slot].header, entries)
    return blocks


def fields(blocks: list[Block]) -> set[str]:
    report = opinion_of(blocks)
    assert not report.ok
    assert report.count == len(report.divergences)
    return {divergence.field.partition(" ")[0] for divergence in report.divergences}


def doubled_credit(entry: Recorded) -> Recorded:
    """The receiver's image with a million lamports more."""
    key, record = next(iter(entry.images.items()))
    more = (int.from_bytes(record[:8], "little") + 1_000_000).to_bytes(8, "little")
    return replace(entry, images={**entry.images, key: more + record[8:]})


def wrong_owner(entry: Recorded) -> Recorded:
    key, record = next(iter(entry.images.items()))
    return replace(entry, images={**entry.images, key: record[:17] + bytes([record[17] ^ 1]) + record[18:]})


EDITS: list[tuple[Callable[[Recorded], Recorded], str]] = [
    (doubled_credit, "account"),
    (wrong_owner, "account"),
    (lambda entry: replace(entry, err='{"InstructionError":[0,{"Custom":1}]}'), "error"),
    (lambda entry: replace(entry, fee=entry.fee + 1), "fee"),
    (lambda entry: replace(entry, burned=0), "burned"),
    (lambda entry: replace(entry, units=entry.units + 1), "compute"),
    (lambda entry: replace(entry, logs=entry.logs[:-1]), "logs"),
    (lambda entry: replace(entry, wrote=entry.wrote[:-1]), "account"),
]


@pytest.mark.parametrize(("edit", "field"), EDITS)
def test_a_changed_entry_is_found(world: World, edit: Callable[[Recorded], Recorded], field: str) -> None:
    assert field in fields(change(world, edit))


@pytest.mark.parametrize("place", range(7))
def test_a_changed_detail_is_found(world: World, place: int) -> None:
    def edit(entry: Recorded) -> Recorded:
        assert entry.detail is not None
        detail = list(entry.detail)
        detail[place] = [*detail[place], detail[0][0]] if isinstance(detail[place], list) else b"\x01"
        if place in (2, 3):
            detail[place] = [(0, b"", b"", 1, b"")]
        if place == 4:
            detail[place] = [(0, [])]
        return replace(entry, detail=tuple(detail))

    assert fields(change(world, edit)) & {"lamports", "tokens", "inner", "return"}


def test_an_executed_transaction_that_did_nothing_is_found(world: World) -> None:
    assert fields(change(world, lambda entry: replace(entry, wrote=(), images={}))) >= {"account"}


def test_a_transaction_that_nobody_signed_is_found(world: World) -> None:
    """As if a worker had forgotten to look at signatures."""

    def edit(entry: Recorded) -> Recorded:
        return replace(entry, raw=entry.raw[:1] + bytes(64) + entry.raw[65:])

    assert fields(change(world, edit)) == {"signatures"}


def test_a_transaction_executed_twice_is_found(world: World) -> None:
    blocks = read_all(world.blocks)
    again = replace(blocks[1].entries[0], seq=blocks[2].entries[0].seq, slot=2)
    blocks[2] = Block(blocks[2].header, [again, *blocks[2].entries[1:]])
    assert "message" in fields(blocks)


def test_accounts_from_nowhere_are_found(world: World) -> None:
    found = fields(
        change(
            world,
            lambda entry: replace(entry, raw=b"", images={bytes(31) + b"\x05": (7).to_bytes(17, "little") + bytes(32)}),
        )
    )
    assert "kind" in found
    assert "total" in found


def test_a_dropped_entry_is_no_chain(world: World) -> None:
    blocks = read_all(world.blocks)
    blocks[2] = Block(blocks[2].header, blocks[2].entries[1:])
    with pytest.raises(BadArchive, match="does not hold the entries"):
        opinion_of(blocks)
    with pytest.raises(BadArchive, match="not the child"):
        opinion_of(blocks[:1] + blocks[2:])


def test_every_byte_of_a_block_counts(world: World) -> None:
    data = bytearray(world.blocks.archive.get(world.blocks.name(2), 1 << 20))
    for place in (*range(0, 120), *range(120, len(data), 37)):
        data[place] ^= 1
        with pytest.raises(BadBlock):
            read_block(bytes(data), trusted(world.blocks))
        data[place] ^= 1
    with pytest.raises(BadBlock, match="trusted key"):
        read_block(bytes(data), {bytes(32)})
    read_block(bytes(data), trusted(world.blocks))


def test_the_report_names_the_transaction_and_the_place(world: World) -> None:
    report = opinion_of(change(world, doubled_credit))
    first = report.divergences[0]
    assert first.slot == 2
    assert first.signature == read_all(world.blocks)[2].entries[0].signature
    lines = report.lines()
    assert lines[0].startswith(f"slot 2 seq {first.seq} {first.signature}: account ")
    assert "expected " in lines[0]
    assert "lamports" in lines[0]
    assert "does NOT agree" in lines[-2]
