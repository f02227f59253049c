"""Every byte of a block counts."""

from __future__ import annotations

import hashlib

import pytest
from solders.hash import Hash
from solders.keypair import Keypair

from banking.blocks.block import BlockHeader, decode_block, encode_block, encode_body
from banking.blocks.store import BlockStore
from banking.errors import BadBlock
from banking.ledger.journal import JournalEntry
from recovery.archive import MemoryArchive
from recovery.identity import Identity
from tests.support.ledgers import SOL, transfer_transaction

IDENTITY = Identity.generate()
TRUSTED = [IDENTITY.public_key]


def small_block() -> tuple[BlockHeader, bytes]:
    keypair = Keypair()
    raw = bytes(transfer_transaction(keypair, Keypair().pubkey(), SOL, Hash.default()))
    key = bytes(keypair.pubkey())
    body = encode_body([JournalEntry(7, 3, raw, b"7:3:\x94\xc0\x00\x00\x90", 5000, b"", key)], {key: b"r" * 49})
    header = BlockHeader("id", 10**9, 1, 7, b"p" * 32, 3, 3, 1, 1, 0, 5000, len(body), hashlib.sha256(body).digest())
    return header, body


@pytest.fixture(scope="module")
def data() -> bytes:
    header, body = small_block()
    return encode_block(header, body, IDENTITY)


def test_it_is_read_back_as_written(data: bytes) -> None:
    block = decode_block(data, TRUSTED)
    assert (block.header.slot, block.header.last_seq, len(block.entries)) == (7, 3, 1)


def test_every_flipped_byte_is_found(data: bytes) -> None:
    for at in range(len(data)):
        for mask in (0x01, 0x80, 0xFF):
            bad = data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]
            with pytest.raises(BadBlock):
                decode_block(bad, TRUSTED)


def test_every_truncation_and_extension_is_found(data: bytes) -> None:
    for length in range(len(data)):
        with pytest.raises(BadBlock):
            decode_block(data[:length], TRUSTED)
    for more in (b"\0", data[-32:], data):
        with pytest.raises(BadBlock):
            decode_block(data + more, TRUSTED)


def test_every_flipped_byte_is_found_behind_a_matching_checksum(data: bytes) -> None:
    """Whoever changes a byte on purpose mends the closing SHA-256, too: the signature finds it."""
    inner = data[:-32]
    for at in range(len(inner)):
        bad = inner[:at] + bytes([inner[at] ^ 0x01]) + inner[at + 1 :]
        with pytest.raises(BadBlock):
            decode_block(bad + hashlib.sha256(bad).digest(), TRUSTED)


def test_another_slots_block_is_refused() -> None:
    store = BlockStore(MemoryArchive(), "test", IDENTITY)
    header, body = small_block()
    store.put(header, body)
    store.archive.put(store.name(8), store.archive.get(store.name(7), 10**6))
    with pytest.raises(BadBlock, match="slot 8"):
        store.read(8)


def test_a_strangers_block_is_refused(data: bytes) -> None:
    with pytest.raises(BadBlock, match="trusted key"):
        decode_block(data, [Identity.generate().public_key])
