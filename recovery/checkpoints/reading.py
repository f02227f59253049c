"""Reading a checkpoint back. Every byte is checked before it is handed out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from recovery.archive import Archive, NotFound, TooLarge, UnsafeArchive
from recovery.checkpoints import chunks, ids, manifest
from recovery.checkpoints.ahead import map_part
from recovery.checkpoints.chunks import ChunkEntry
from recovery.checkpoints.errors import BadCheckpoint, UnknownCheckpoint
from recovery.checkpoints.manifest import Manifest, PartEntry
from recovery.checkpoints.parts import Batch

Progress = Callable[[int], None]


@dataclass(frozen=True)
class CheckpointReader:
    """Reads what is below `folder`, believing only manifests signed by `trusted_keys`."""

    archive: Archive
    folder: str
    trusted_keys: Collection[bytes]

    def manifest(self, checkpoint_id: str) -> Manifest:
        """The manifest, its signature checked. Raises UnknownCheckpoint, BadCheckpoint, ArchiveReadError."""
        name = ids.manifest_name(self.folder, checkpoint_id)
        try:
            data = self.archive.get(name, manifest.MAX_MANIFEST_BYTES)
            return manifest.decode(data, checkpoint_id, self.trusted_keys)
        except NotFound:
            raise UnknownCheckpoint(f"there is no checkpoint {checkpoint_id}") from None
        except (BadCheckpoint, TooLarge, UnsafeArchive) as error:
            raise BadCheckpoint(f"checkpoint {checkpoint_id}: {error}") from error

    def chain(self, checkpoint_id: str) -> Sequence[Manifest]:
        """Manifests from the full checkpoint up to this one. Raises as `manifest` does, BadCheckpoint for links."""
        found = [self.manifest(checkpoint_id)]
        while (link := found[-1].base) is not None:
            if len(found) > manifest.MAX_DEPTH:
                raise BadCheckpoint(f"checkpoint {checkpoint_id} is at the end of too long a chain")
            try:
                base = self.manifest(link.id)
            except UnknownCheckpoint as error:
                raise BadCheckpoint(f"checkpoint {found[-1].id}: its base {link.id[:100]!r} is missing") from error
            check_link(found[-1], base)
            found.append(base)
        return found[::-1]

    def part(self, owner: Manifest, name: str, progress: Progress | None = None) -> Iterator[Batch]:
        """The batches of one part. Raises BadCheckpoint at the first chunk that is not as signed.

        `progress` gets the raw bytes of every chunk read. A part whose totals do not fit fails at its end.
        """
        number = next((index for index, part in enumerate(owner.parts) if part.name == name), None)
        if number is None:
            raise BadCheckpoint(f"checkpoint {owner.id} has no part {name}")
        for entry, raw in self._raw_chunks(owner, number):
            if progress:
                progress(len(raw))
            try:
                found = chunks.batches(raw, entry)
            except BadCheckpoint as error:
                raise BadCheckpoint(f"checkpoint {owner.id}, part {name}: {error}") from error
            yield from found

    def _raw_chunks(self, owner: Manifest, number: int) -> Iterator[tuple[ChunkEntry, bytes]]:
        part: PartEntry = owner.parts[number]
        whole = hashlib.sha256()

        def read(numbered: tuple[int, ChunkEntry]) -> tuple[ChunkEntry, bytes]:
            index, entry = numbered
            name = ids.chunk_name(self.folder, owner.id, number, index)
            return entry, read_chunk(self.archive, name, entry)

        for entry, raw in map_part(part, read):
            whole.update(raw)
            yield entry, raw
        if whole.hexdigest() != part.sha256:
            raise BadCheckpoint(f"checkpoint {owner.id}: the SHA-256 of its part {part.name} differs")


def read_chunk(archive: Archive, name: str, entry: ChunkEntry) -> bytes:
    """The raw chunk in the object `name`. Raises BadCheckpoint, ArchiveReadError."""
    try:
        return chunks.decompress(archive.get(name, entry.stored_bytes), entry)
    except NotFound:
        raise BadCheckpoint(f"{name} is missing") from None
    except (BadCheckpoint, TooLarge, UnsafeArchive) as error:
        raise BadCheckpoint(f"{name}: {error}") from error


def check_link(checkpoint: Manifest, base: Manifest) -> None:
    """Raises BadCheckpoint unless `base` is the very checkpoint that this one was built on."""
    if checkpoint.base is None or checkpoint.base.digest != base.digest:
        raise BadCheckpoint(f"checkpoint {checkpoint.id}: its base {base.id} is not the one it was built on")
    if checkpoint.depth != base.depth + 1 or checkpoint.sequence < base.sequence:
        raise BadCheckpoint(f"checkpoint {checkpoint.id} does not follow its base {base.id}")
