"""Blocks of the first format are read for ever; what is written can be read back, or is not written."""

from __future__ import annotations

import hashlib
from typing import Any

import fakeredis
import pytest

from banking.blocks import block as module
from banking.blocks.block import Block, BlockHeader, decode_block, encode_block, encode_body
from banking.blocks.store import BlockStore
from banking.errors import BadBlock, BlockTooLarge
from banking.ledger.journal import JournalEntry
from banking.ledger.ledger import Ledger
from banking.ledger.limits import MAX_BODY_BYTES, MAX_TRANSACTION_BYTES, SLOT_LIMITS, SlotLimits
from banking.ledger.scan import scan_accounts
from banking.restore.ledger_recovery import LedgerRecovery
from banking.restore.replay import Replay
from recovery.archive import MAX_OBJECT_BYTES, MemoryArchive
from recovery.identity import Identity
from tests.support.paths import SUPPORT

IDENTITY = Identity.generate()
#: Made by the encoder of format 1: a genesis, two accounts paid by a third, which then is emptied; an empty slot.
OLD = SUPPORT / "blocks_v1"
SIGNER = bytes.fromhex((OLD / "signer.hex").read_text())
ACCOUNTS = {
    bytes.fromhex(key): bytes.fromhex(record)
    for key, record in (line.split() for line in (OLD / "accounts.txt").read_text().splitlines())
}


def old_blocks() -> list[Block]:
    return [decode_block((OLD / f"{slot}.block").read_bytes(), [SIGNER]) for slot in range(4)]


def test_blocks_of_the_first_format_give_the_ledger_byte_for_byte() -> None:
    replay = Replay(supply=10**15)
    for block in old_blocks():
        replay.apply(block.entries, block.images)
        replay.check_header(block.header)
    assert {key: record for key, (_, record) in replay.accounts.items()} == ACCOUNTS
    assert (replay.conservation, replay.order, replay.repeated) == ([], [], [])
    assert replay.lamports == 10**15 - replay.burned


def test_a_ledger_is_restored_from_blocks_of_the_first_format_and_goes_on() -> None:
    store = BlockStore(MemoryArchive(), "old", IDENTITY, [SIGNER])
    for slot in range(4):
        store.archive.put(store.name(slot), (OLD / f"{slot}.block").read_bytes())
    client: Any = fakeredis.FakeRedis(version=(6, 2))
    ledger = Ledger(client, "old")
    LedgerRecovery(ledger, store).ensure_consistent()
    assert {key: record for key, _, record in scan_accounts(ledger)} == ACCOUNTS
    assert [block.header.slot for block in store.follow(0, None)] == [0, 1, 2, 3, 4]
    assert store.archive.get(store.name(4), MAX_OBJECT_BYTES).startswith(b"TLBLOCK2")


def entry(seq: int, *keys: bytes, raw: bytes = b"") -> JournalEntry:
    return JournalEntry(7, seq, raw, b"7:%d:" % seq, 0, b"", b"".join(keys))


def header_of(body: bytes, first: int, last: int) -> BlockHeader:
    digest = hashlib.sha256(body).digest()
    return BlockHeader("id", 10**9, 1, 7, b"p" * 32, first, last, 1, 1, 0, 0, len(body), digest)


def test_only_the_last_image_of_an_account_is_kept() -> None:
    one, other = b"1" * 32, b"2" * 32
    entries = [entry(1, other, one), entry(2, one)]
    body = encode_body(entries, {other: b"", one: b"r" * 49})
    block = decode_block(encode_block(header_of(body, 1, 2), body, IDENTITY), [IDENTITY.public_key])
    assert [found.keys for found in block.entries] == [[other, one], [one]]
    assert block.images == {one: b"r" * 49, other: b""}


@pytest.mark.parametrize("images", [{}, {b"1" * 32: b"r", b"2" * 32: b"r"}])
def test_images_are_those_of_what_was_written(images: dict[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="images"):
        encode_body([entry(1, b"1" * 32)], images)


def test_a_block_with_a_strangers_image_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "written_by", lambda _: [b"2" * 32])
    body = encode_body([entry(1, b"1" * 32)], {b"2" * 32: b"r"})
    data = encode_block(header_of(body, 1, 1), body, IDENTITY)
    monkeypatch.undo()
    with pytest.raises(BadBlock, match="images"):
        decode_block(data, [IDENTITY.public_key])


def test_a_block_with_a_key_that_is_cut_off_is_refused() -> None:
    """Together they have two keys, and those have their images: each by itself must have whole ones."""
    keys = b"1" * 32 + b"2" * 32
    body = encode_body([entry(1, keys[:30]), entry(2, keys[30:])], {keys[:32]: b"r", keys[32:]: b"r"})
    data = encode_block(header_of(body, 1, 2), body, IDENTITY)
    with pytest.raises(BadBlock, match="32 bytes"):
        decode_block(data, [IDENTITY.public_key])


def test_what_could_not_be_read_back_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    body = encode_body([entry(1, b"1" * 32)], {b"1" * 32: bytes(2000)})
    header = header_of(body, 1, 1)
    data = encode_block(header, body, IDENTITY)
    monkeypatch.setitem(module._MAX_BODY_BYTES, module.MAGIC, len(body))
    assert decode_block(data, [IDENTITY.public_key]).hash == header.hash()
    monkeypatch.setitem(module._MAX_BODY_BYTES, module.MAGIC, len(body) - 1)
    with pytest.raises(BlockTooLarge):
        encode_body([entry(1, b"1" * 32)], {b"1" * 32: bytes(2000)})
    with pytest.raises(BlockTooLarge):
        encode_block(header, body, IDENTITY)
    with pytest.raises(BadBlock):
        decode_block(data, [IDENTITY.public_key])


def test_a_slot_and_a_transaction_always_fit() -> None:
    """The budgets add up, also for bytes that do not compress (zstd grows them by less than 1 in 200)."""
    assert SlotLimits() == SLOT_LIMITS
    assert SLOT_LIMITS.shared + MAX_TRANSACTION_BYTES <= SLOT_LIMITS.most < MAX_BODY_BYTES
    assert MAX_BODY_BYTES + MAX_BODY_BYTES // 200 + 2**20 < MAX_OBJECT_BYTES
