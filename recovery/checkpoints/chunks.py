"""Chunks: a part's batches in objects of about 4 MiB, each one zstd frame with its own SHA-256.

Before compression a chunk is a sequence of `length (4 bytes) | records (4 bytes) | data`, big-endian.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import zstandard

from recovery.checkpoints.errors import BadCheckpoint, CheckpointError
from recovery.checkpoints.parts import MAX_BATCH_BYTES, Batch

_HEADER = struct.Struct(">II")
MAX_CHUNK_BYTES = MAX_BATCH_BYTES + _HEADER.size


class ChunkEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One chunk in the manifest: sizes in bytes, SHA-256 (hex) of the stored, compressed bytes."""

    records: int
    raw_bytes: int
    stored_bytes: int
    sha256: str


def split(batches: Iterable[Batch], target_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Raw chunks and their record counts. A chunk ends before the batch that would take it past `target_bytes`.

    Raises CheckpointError for a batch above MAX_BATCH_BYTES.
    """
    pieces: list[bytes] = []
    size = records = 0
    for batch in batches:
        if len(batch.data) > MAX_BATCH_BYTES:
            raise CheckpointError(f"a batch has {len(batch.data)} bytes, the most is {MAX_BATCH_BYTES}")
        if pieces and size + len(batch.data) + _HEADER.size > target_bytes:
            yield b"".join(pieces), records
            pieces, size, records = [], 0, 0
        pieces += (_HEADER.pack(len(batch.data), batch.records), batch.data)
        size += len(batch.data) + _HEADER.size
        records += batch.records
    if pieces:
        yield b"".join(pieces), records


def compress(raw: bytes, records: int, level: int) -> tuple[bytes, ChunkEntry]:
    """The stored bytes of a raw chunk, and what the manifest says of them."""
    stored = zstandard.ZstdCompressor(level=level).compress(raw)
    return stored, ChunkEntry(records, len(raw), len(stored), hashlib.sha256(stored).hexdigest())


def decompress(stored: bytes, entry: ChunkEntry) -> bytes:
    """The raw chunk, once its size and hash are what the manifest says. Raises BadCheckpoint.

    The frame's own idea of its size is checked before anything is allocated: no decompression bombs.
    """
    if len(stored) != entry.stored_bytes:
        raise BadCheckpoint(f"{len(stored)} bytes instead of {entry.stored_bytes}")
    if hashlib.sha256(stored).hexdigest() != entry.sha256:
        raise BadCheckpoint("its SHA-256 is not the one in the manifest")
    try:
        size = zstandard.get_frame_parameters(stored).content_size
        if size != entry.raw_bytes or size > MAX_CHUNK_BYTES:
            raise BadCheckpoint(f"it would decompress to {size} bytes instead of {entry.raw_bytes}")
        raw = zstandard.ZstdDecompressor().decompress(stored, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BadCheckpoint(f"it does not decompress: {error}") from error
    if len(raw) != entry.raw_bytes:
        raise BadCheckpoint(f"it decompresses to {len(raw)} bytes instead of {entry.raw_bytes}")
    return raw


def batches(raw: bytes, entry: ChunkEntry) -> Sequence[Batch]:
    """The batches of a raw chunk. Raises BadCheckpoint when they do not fill it exactly."""
    found: list[Batch] = []
    at = records = 0
    while at < len(raw):
        start = at + _HEADER.size
        if start > len(raw):
            raise BadCheckpoint("a batch header is cut off")
        length, count = _HEADER.unpack_from(raw, at)
        at = start + length
        if at > len(raw):
            raise BadCheckpoint("a batch is cut off")
        found.append(Batch(raw[start:at], count))
        records += count
    if records != entry.records:
        raise BadCheckpoint(f"it holds {records} records instead of {entry.records}")
    return found
