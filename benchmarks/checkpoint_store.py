"""A checkpoint of 1,000,000 records of 100 bytes: writing, verifying, reading, and the bare cost of its parts."""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zstandard

from recovery.archive import LocalArchive
from recovery.checkpoints import Batch, CheckpointStore, Part, WriteOptions, pack_records, unpack_records
from recovery.identity import Identity

RECORDS = 1_000_000
CHANGED = 1_000


def run(records: int = RECORDS, changed: int = CHANGED) -> dict[str, Any]:
    """Seconds for each step. `floor_seconds` is zstd, SHA-256 and the disk alone, in one thread."""
    batches = list(pack_records(_records(records)))
    with tempfile.TemporaryDirectory() as folder:
        floor, _ = _timed(lambda: _floor(batches, Path(folder)))
        store = CheckpointStore(LocalArchive(Path(folder) / "archive"), Identity.generate())
        write, full = _timed(lambda: store.create(sequence=1, parts=[Part("records", batches)]))
        verify, report = _timed(lambda: store.verify(full.id))
        read, count = _timed(
            lambda: sum(len(unpack_records(batch)) for batch in store.layers(full.id)[0].read("records"))
        )
        small = pack_records(_records(changed))
        incremental, _ = _timed(lambda: store.create(sequence=2, parts=[Part("records", small)], base=full.id))
        if not report.ok or count != records:
            raise AssertionError("the checkpoint did not come back as it was written")
    return {
        "records": records,
        "raw_bytes": full.raw_bytes,
        "stored_bytes": full.stored_bytes,
        "floor_seconds": floor,
        "write_seconds": write,
        "verify_seconds": verify,
        "read_seconds": read,
        "incremental_seconds": incremental,
        "incremental_share_of_full": incremental / write,
    }


def _records(count: int) -> Iterator[bytes]:
    """As accounts are: a random key, a balance, an owner that many share, zeros."""
    source = random.Random(1)
    for index in range(count):
        yield source.randbytes(32) + index.to_bytes(8, "little") + bytes([index % 7]) * 32 + bytes(28)


def _floor(batches: list[Batch], folder: Path) -> None:
    options = WriteOptions()
    raw = b"".join(batch.data for batch in batches)
    hashlib.sha256(raw).hexdigest()
    with (folder / "floor").open("wb") as file:
        for start in range(0, len(raw), options.chunk_bytes):
            chunk = raw[start : start + options.chunk_bytes]
            stored = zstandard.ZstdCompressor(level=options.compression_level).compress(chunk)
            hashlib.sha256(stored).hexdigest()
            file.write(stored)


def _timed(action: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = action()
    return round(time.perf_counter() - start, 4), result


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
