"""Blocks: what one slot came to, hash-chained and signed. Immutable once in the archive.

A block file is

    magic (8) | header length (4 bytes, big-endian) | header | signer (32) | signature (64) | body | SHA-256 (32)

The header is msgpack, the fields of `BlockHeader` as an array in their order, and names the length and SHA-256 of the
uncompressed body; its own SHA-256 is the block's hash, which the next header names as its parent. The signature is
Ed25519 over "trunkline block" and the hash. The body is one zstd frame, which tells its content size. The closing
SHA-256 covers every byte before it.

Magic "TLBLOCK2": the body is a msgpack array of two arrays, entries and images.

    entry   [seq, transaction (bin), status (bin: "slot:seq:" and the packed result), burned lamports, detail (bin),
             written (bin)]
    image   [public key (bin 32), record (bin; empty: the account is gone)]

Entries are in the order of their sequence numbers, which are those of the header without a gap. `written` has the
public keys of the accounts that the entry changed, 32 bytes each, one after the other; the transaction of a genesis is
empty.
There is one image for every account that any entry wrote, with what it holds at the end of the slot, ascending by key.
The body has at most 120 MiB (`banking.ledger.limits`), the file at most 128 MiB.

Magic "TLBLOCK1", written until version 2 of the Redis layout and read for ever: the body is the array of entries, and
in place of `written` stands an array of [public key, record] with the records as that entry left them. The body has at
most 512 MiB.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import zstandard

from banking.errors import BadBlock, BlockTooLarge
from banking.ledger.journal import JournalEntry, written_by
from banking.ledger.limits import MAX_BODY_BYTES, MIB
from recovery.archive import MAX_OBJECT_BYTES
from recovery.identity import Identity, verify_signature

MAGIC = b"TLBLOCK2"
_MAGIC_1 = b"TLBLOCK1"
_MAX_BODY_BYTES = {MAGIC: MAX_BODY_BYTES, _MAGIC_1: 512 * MIB}
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
    """A verified block: its header, its hash, and the entries in the order of their sequence numbers.

    `images` maps every account that was written to its record at the end of the slot, b"" where it is gone.
    """

    header: BlockHeader
    hash: bytes
    entries: Sequence[JournalEntry]
    images: Mapping[bytes, bytes]


_Row = tuple[int, bytes, bytes, int, bytes, bytes]
_Row1 = tuple[int, bytes, bytes, int, bytes, list[tuple[bytes, bytes]]]
_header_encoder = msgspec.msgpack.Encoder()
_header_decoder = msgspec.msgpack.Decoder(BlockHeader)
_body_decoder = msgspec.msgpack.Decoder(tuple[list[_Row], list[tuple[bytes, bytes]]])
_body_decoder_1 = msgspec.msgpack.Decoder(list[_Row1])


def encode_body(entries: Sequence[JournalEntry], images: Mapping[bytes, bytes]) -> bytes:
    """The uncompressed body. Raises BlockTooLarge, and ValueError unless `images` are those of what was written."""
    if images.keys() != set(written_by(entries)):
        raise ValueError("the images are not those of the accounts that the entries wrote")
    rows = [(entry.seq, entry.raw, entry.value, entry.burned, entry.detail, entry.written) for entry in entries]
    body = msgspec.msgpack.encode((rows, sorted(images.items())))
    if (found := _too_large(MAGIC, len(body), 0)) is not None:
        raise BlockTooLarge(found, len(body))
    return body


def encode_block(header: BlockHeader, body: bytes, identity: Identity) -> bytes:
    """The file of a block whose header was made for `body`. Raises BlockTooLarge for what could not be read back."""
    packed = _header_encoder.encode(header)
    stored = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL).compress(body)
    signature = identity.sign(_SIGNED + header.hash())
    parts = [MAGIC, _LENGTH.pack(len(packed)), packed, identity.public_key, signature, stored]
    file_bytes = sum(map(len, parts)) + hashlib.sha256().digest_size
    if (found := _too_large(MAGIC, header.body_bytes, file_bytes)) is not None:
        raise BlockTooLarge(found, header.body_bytes)
    data = b"".join(parts)
    return data + hashlib.sha256(data).digest()


def most_body_bytes() -> int:
    """The most that a block written now may hold, uncompressed."""
    return _MAX_BODY_BYTES[MAGIC]


def _too_large(magic: bytes, body_bytes: int, file_bytes: int) -> str | None:
    """Why a block of this size is neither written nor read; None when it is both."""
    most = _MAX_BODY_BYTES[magic]
    if body_bytes > most:
        return f"its body would have {body_bytes} bytes, the most is {most}"
    if file_bytes > MAX_OBJECT_BYTES:
        return f"its file would have {file_bytes} bytes, the most is {MAX_OBJECT_BYTES}"
    return None


def decode_header(data: bytes, trusted_keys: Collection[bytes]) -> tuple[BlockHeader, bytes]:
    """The verified header and the compressed body. Raises BadBlock; nothing is looked at before it is verified."""
    if len(data) < len(MAGIC) + _LENGTH.size + 32 + 96 or data[: len(MAGIC)] not in _MAX_BODY_BYTES:
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
    magic = data[: len(MAGIC)]
    if (found := _too_large(magic, header.body_bytes, len(data))) is not None:
        raise BadBlock(found)
    body = _decompress(stored, header)
    if hashlib.sha256(body).digest() != header.body_sha256:
        raise BadBlock("its body is not the one in its header")
    try:
        entries, images = (_read_body if magic == MAGIC else _read_body_1)(header.slot, body)
    except msgspec.MsgspecError as error:
        raise BadBlock(f"its body cannot be read: {error}") from error
    if [entry.seq for entry in entries] != list(range(header.first_seq, header.last_seq + 1)):
        raise BadBlock("its sequence numbers are not those in its header")
    return Block(header, header.hash(), entries, images)


def _read_body(slot: int, body: bytes) -> tuple[list[JournalEntry], dict[bytes, bytes]]:
    rows, pairs = _body_decoder.decode(body)
    entries = [JournalEntry(slot, *row) for row in rows]
    if any(len(entry.written) % 32 for entry in entries):
        raise BadBlock("what its entries wrote are not keys of 32 bytes")
    if [key for key, _ in pairs] != written_by(entries):
        raise BadBlock("its images are not those of the accounts that its entries wrote")
    return entries, dict(pairs)


def _read_body_1(slot: int, body: bytes) -> tuple[list[JournalEntry], dict[bytes, bytes]]:
    rows = _body_decoder_1.decode(body)
    images: dict[bytes, bytes] = {}
    for row in rows:
        images.update(row[5])
    entries = [JournalEntry(slot, *row[:5], b"".join(key for key, _ in row[5])) for row in rows]
    return entries, images


def _decompress(stored: bytes, header: BlockHeader) -> bytes:
    # The size was checked before anything is allocated: no decompression bombs.
    try:
        if zstandard.get_frame_parameters(stored).content_size != header.body_bytes:
            raise BadBlock("its body has another size than its header says")
        return zstandard.ZstdDecompressor().decompress(
            stored, max_output_size=header.body_bytes, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise BadBlock(f"its body does not decompress: {error}") from error
