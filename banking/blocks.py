"""Blocks: what one slot came to, hash-chained and signed. Immutable once in the archive.

A block file is

    "TLBLOCK1" | header length (4 bytes, big-endian) | header | signer (32) | signature (64) | body | SHA-256 (32)

The header is msgpack and names the SHA-256 of the uncompressed body; its own SHA-256 is the block's hash, which the
next header names as its parent. The signature is Ed25519 over "trunkline block" and the hash. The body is one zstd
frame with the journal entries in msgpack. The closing SHA-256 covers every byte before it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec
import zstandard

from banking.errors import BadBlock
from banking.journal import JournalEntry
from recovery.identity import Identity, verify_signature

MAGIC = b"TLBLOCK1"
MAX_BODY_BYTES = 512 * 1024 * 1024
GENESIS_PARENT = bytes(32)
_LENGTH = struct.Struct(">I")
_SIGNED = b"trunkline block"
_COMPRESSION_LEVEL = 3


class BlockHeader(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What a block is. `seq` numbers are those of its entries (last = first - 1 when empty); `time_ms` is Redis's.

    `processed`, `failed` and `burned` (lamports) are totals of the ledger up to and with this block.
    """

    ledger_id: str
    supply: int
    epoch: int
    slot: int
    parent: bytes
    first_seq: int
    last_seq: int
    time_ms: int
    processed: int
    failed: int
    burned: int
    body_bytes: int
    body_sha256: bytes

    def hash(self) -> bytes:
        """SHA-256 of the header: the block's hash, and a recent blockhash for clients."""
        return hashlib.sha256(_header_encoder.encode(self)).digest()


@dataclass(frozen=True, slots=True)
class Block:
    """A verified block: its header, its hash, and the entries in the order of their sequence numbers."""

    header: BlockHeader
    hash: bytes
    entries: Sequence[JournalEntry]


_Row = tuple[int, bytes, bytes, int, bytes, list[tuple[bytes, bytes]]]
_header_encoder = msgspec.msgpack.Encoder()
_header_decoder = msgspec.msgpack.Decoder(BlockHeader)
_body_decoder = msgspec.msgpack.Decoder(list[_Row])


def encode_entries(entries: Sequence[JournalEntry]) -> bytes:
    """The uncompressed body."""
    rows = [
        (entry.seq, entry.raw, entry.value, entry.burned, entry.detail, list(entry.writes.items())) for entry in entries
    ]
    return msgspec.msgpack.encode(rows)


def encode_block(header: BlockHeader, body: bytes, identity: Identity) -> bytes:
    """The file of a block whose header was made for `body`."""
    packed = _header_encoder.encode(header)
    stored = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL).compress(body)
    signature = identity.sign(_SIGNED + header.hash())
    data = b"".join((MAGIC, _LENGTH.pack(len(packed)), packed, identity.public_key, signature, stored))
    return data + hashlib.sha256(data).digest()


def decode_header(data: bytes, trusted_keys: Collection[bytes]) -> tuple[BlockHeader, bytes]:
    """The verified header and the compressed body. Raises BadBlock; nothing is looked at before it is verified."""
    if len(data) < len(MAGIC) + _LENGTH.size + 32 + 96 or not data.startswith(MAGIC):
        raise BadBlock("it is truncated, or no block")
    if hashlib.sha256(data[:-32]).digest() != data[-32:]:
        raise BadBlock("its SHA-256 does not match: it is damaged or truncated")
    start = len(MAGIC) + _LENGTH.size
    (length,) = _LENGTH.unpack_from(data, len(MAGIC))
    packed, rest = data[start : start + length], data[start + length : -32]
    if len(packed) != length or len(rest) < 96:
        raise BadBlock("its header is cut off")
    signer, signature, stored = rest[:32], rest[32:96], rest[96:]
    if signer not in trusted_keys:
        raise BadBlock("it is not signed by a trusted key")
    if not verify_signature(signer, signature, _SIGNED + hashlib.sha256(packed).digest()):
        raise BadBlock("its signature is wrong")
    try:
        header = _header_decoder.decode(packed)
    except msgspec.MsgspecError as error:
        raise BadBlock(f"its header cannot be read: {error}") from error
    if _header_encoder.encode(header) != packed:
        raise BadBlock("its header is not in canonical form")
    return header, stored


def decode_block(data: bytes, trusted_keys: Collection[bytes]) -> Block:
    """A block, every byte of it verified. Raises BadBlock."""
    header, stored = decode_header(data, trusted_keys)
    body = _decompress(stored, header)
    if hashlib.sha256(body).digest() != header.body_sha256:
        raise BadBlock("its body is not the one in its header")
    try:
        rows = _body_decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise BadBlock(f"its body cannot be read: {error}") from error
    entries = [JournalEntry(header.slot, *row[:5], dict(row[5])) for row in rows]
    if [entry.seq for entry in entries] != list(range(header.first_seq, header.last_seq + 1)):
        raise BadBlock("its sequence numbers are not those in its header")
    return Block(header, header.hash(), entries)


def _decompress(stored: bytes, header: BlockHeader) -> bytes:
    # The size is checked before anything is allocated: no decompression bombs.
    if header.body_bytes > MAX_BODY_BYTES:
        raise BadBlock(f"its body would have {header.body_bytes} bytes, the most is {MAX_BODY_BYTES}")
    try:
        if zstandard.get_frame_parameters(stored).content_size != header.body_bytes:
            raise BadBlock("its body has another size than its header says")
        return zstandard.ZstdDecompressor().decompress(
            stored, max_output_size=header.body_bytes, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise BadBlock(f"its body does not decompress: {error}") from error
