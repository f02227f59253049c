"""Writing one checkpoint: its chunks, then its manifest."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from recovery.archive import Archive, ArchiveUnavailable, put_same
from recovery.checkpoints import chunks, ids, manifest
from recovery.checkpoints.ahead import map_ahead
from recovery.checkpoints.chunks import ChunkEntry
from recovery.checkpoints.errors import CheckpointError
from recovery.checkpoints.manifest import BaseLink, Facts, Manifest, PartEntry
from recovery.checkpoints.parts import Part
from recovery.clock import Clock
from recovery.crash_points import reach
from recovery.identity import Identity, encode_key

CRASH_POINTS = (
    "checkpoint.before-part",
    "checkpoint.before-chunk",
    "checkpoint.before-manifest",
    "checkpoint.after-manifest",
)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WriteOptions:
    """How to write. Sizes in bytes, times in seconds."""

    chunk_bytes: int = 4 * 1024 * 1024
    compression_level: int = 3
    write_seconds: float = 1800.0


@dataclass(frozen=True)
class WriteTarget:
    """Where checkpoints are written, and by whom."""

    archive: Archive
    folder: str
    identity: Identity
    clock: Clock
    options: WriteOptions


class CheckpointWriter:
    """Writes one checkpoint. Without its manifest it does not exist, so that dying anywhere leaves no half one."""

    def __init__(self, target: WriteTarget, sequence: int, base: Manifest | None) -> None:
        self._archive = target.archive
        self._folder = target.folder
        self._target = target
        self._base = base
        self._sequence = sequence
        self._started = target.clock.monotonic()
        self._written: list[str] = []
        self.id = ids.new_id(sequence, target.clock.time(), base.id if base else None)

    def write(self, parts: Iterable[Part], facts: Callable[[], Facts]) -> Manifest:
        """Store the parts, then the manifest. Raises CheckpointError, ArchiveError.

        Before the manifest is put, a failure removes what was written; after that, only the clean-up may.
        """
        try:
            entries = self._write_parts(parts)
            made = self._manifest(entries, facts())
            data = manifest.encode(made, self._target.identity)
            reach("checkpoint.before-manifest")
            self._check_still_wanted(data)
        except BaseException:
            self._remove_written()
            raise
        put_same(self._archive, ids.manifest_name(self._folder, self.id), data)
        reach("checkpoint.after-manifest")
        return made

    def _write_parts(self, parts: Iterable[Part]) -> tuple[PartEntry, ...]:
        entries: list[PartEntry] = []
        for part in parts:
            manifest.check_part_name(part.name)
            if len(entries) == manifest.MAX_PARTS or part.name in {entry.name for entry in entries}:
                raise CheckpointError(f"too many parts, or two of the name {part.name}")
            reach("checkpoint.before-part")
            entries.append(self._write_part(len(entries), part))
        return tuple(entries)

    def _manifest(self, parts: tuple[PartEntry, ...], facts: Facts) -> Manifest:
        base = self._base
        return Manifest(
            id=self.id,
            kind="incremental" if base else "full",
            sequence=self._sequence,
            created=int(self._target.clock.time()),
            depth=base.depth + 1 if base else 0,
            base=BaseLink(base.id, base.digest) if base else None,
            signer=encode_key(self._target.identity.public_key),
            facts=manifest.check_facts(facts),
            parts=parts,
        )

    def _check_still_wanted(self, data: bytes) -> None:
        if len(data) > manifest.MAX_MANIFEST_BYTES:
            raise CheckpointError(f"the manifest has {len(data)} bytes, the most is {manifest.MAX_MANIFEST_BYTES}")
        if self._base and not self._archive.exists(ids.manifest_name(self._folder, self._base.id)):
            raise CheckpointError(f"the base of {self.id} was deleted while it was written")
        # Past this time the clean-up may take the chunks for those of a dead writer.
        limit = self._target.options.write_seconds
        if self._target.clock.monotonic() - self._started > limit:
            raise CheckpointError(f"{self.id} took longer than {limit:g} s to write")

    def _write_part(self, number: int, part: Part) -> PartEntry:
        whole = hashlib.sha256()

        def hashed() -> Iterable[tuple[str, bytes, int]]:
            for index, (raw, records) in enumerate(chunks.split(part.batches, self._target.options.chunk_bytes)):
                whole.update(raw)
                name = ids.chunk_name(self._folder, self.id, number, index)
                self._written.append(name)
                yield name, raw, records

        entries = tuple(map_ahead(self._write_chunk, hashed()))
        return PartEntry(
            name=part.name,
            records=sum(entry.records for entry in entries),
            raw_bytes=sum(entry.raw_bytes for entry in entries),
            stored_bytes=sum(entry.stored_bytes for entry in entries),
            sha256=whole.hexdigest(),
            chunks=entries,
        )

    def _write_chunk(self, chunk: tuple[str, bytes, int]) -> ChunkEntry:
        name, raw, records = chunk
        stored, entry = chunks.compress(raw, records, self._target.options.compression_level)
        reach("checkpoint.before-chunk")
        put_same(self._archive, name, stored)
        return entry

    def _remove_written(self) -> None:
        """A full disk is not kept full by the checkpoint that did not fit."""
        try:
            for name in self._written:
                self._archive.delete(name)
        except ArchiveUnavailable as error:
            fields = {"checkpoint": self.id, "error": str(error)}
            logger.warning("checkpoint.remains-not-removed: %(checkpoint)s: %(error)s", fields, extra=fields)
