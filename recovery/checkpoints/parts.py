"""What a checkpoint is made of: named parts, each a stream of batches of records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from recovery.checkpoints.errors import BadCheckpoint

MAX_BATCH_BYTES = 16 * 1024 * 1024
_TARGET_BATCH_BYTES = 256 * 1024
_decoder = msgspec.msgpack.Decoder(list[bytes])


class Batch(NamedTuple):
    """Some records, packed by whoever owns them; read back exactly as written."""

    data: bytes
    records: int


@dataclass(frozen=True)
class Part:
    """A named stream. The name is lower-case words with `-` and `/`; a batch has at most MAX_BATCH_BYTES bytes.

    The batches are taken one by one, so that a part never needs to fit in memory.
    """

    name: str
    batches: Iterable[Batch]


def pack_records(records: Iterable[bytes]) -> Iterator[Batch]:
    """Batches of about 256 KiB, for parts that have no packing of their own."""
    pending: list[bytes] = []
    size = 0
    for record in records:
        if pending and size + len(record) > _TARGET_BATCH_BYTES:
            yield _pack(pending)
            pending, size = [], 0
        pending.append(record)
        size += len(record) + 5
    if pending:
        yield _pack(pending)


def unpack_records(batch: Batch) -> Sequence[bytes]:
    """The records of a batch made by `pack_records`. Raises BadCheckpoint."""
    try:
        records = _decoder.decode(batch.data)
    except msgspec.MsgspecError as error:
        raise BadCheckpoint(f"a batch of records cannot be read: {error}") from error
    if len(records) != batch.records:
        raise BadCheckpoint(f"a batch holds {len(records)} records, not {batch.records}")
    return records


def _pack(records: list[bytes]) -> Batch:
    return Batch(msgspec.msgpack.encode(records), len(records))
