"""Small checkpoints, and an archive whose objects can be damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from recovery.archive import MemoryArchive
from recovery.checkpoints import Batch, CheckpointStore, Manifest, Part

MODES = (Batch(b"mode=normal", 1),)


def accounts(generation: int) -> list[Batch]:
    return [Batch(bytes([generation, index]) * 15, 2) for index in range(3)]


def sample_parts(generation: int = 0) -> list[Part]:
    return [Part("ledger/accounts", accounts(generation)), Part("modes", MODES), Part("empty", ())]


def save(store: CheckpointStore, sequence: int, base: str | None = None) -> Manifest:
    return store.create(sequence=sequence, parts=sample_parts(sequence % 251), facts={"slot": sequence}, base=base)


def contents(store: CheckpointStore, checkpoint_id: str) -> list[dict[str, list[Batch]]]:
    """Everything in a checkpoint and its bases."""
    return [{part: list(layer.read(part)) for part in layer.part_names} for layer in store.layers(checkpoint_id)]


def damaged_copies(archive: MemoryArchive, damage: Callable[[bytes], Iterator[bytes]]) -> Iterator[str]:
    """Damage every object in turn, in every way that `damage` yields; the original is put back afterwards."""
    for name in list(archive.list()):
        original = archive.get(name, 10**9)
        for copy in damage(original):
            replace(archive, name, copy)
            yield f"{name} with {len(copy)} bytes"
        replace(archive, name, original)


def replace(archive: MemoryArchive, name: str, data: bytes) -> None:
    archive.delete(name)
    archive.put(name, data)


def flips(data: bytes) -> Iterator[bytes]:
    """Every byte changed: one bit, and all bits."""
    for index, byte in enumerate(data):
        for mask in (1 << index % 8, 0xFF):
            yield data[:index] + bytes([byte ^ mask]) + data[index + 1 :]


def truncations(data: bytes) -> Iterator[bytes]:
    for length in range(len(data)):
        yield data[:length]


def extensions(data: bytes) -> Iterator[bytes]:
    for tail in (b"\0", b"\n", b"end", data):
        yield data + tail


def cuts_inside(data: bytes) -> Iterator[bytes]:
    """One byte missing, or doubled, here and there."""
    for index in range(0, len(data), 7):
        yield data[:index] + data[index + 1 :]
        yield data[:index] + data[index : index + 1] + data[index:]


DAMAGES: Sequence[Callable[[bytes], Iterator[bytes]]] = (flips, truncations, extensions, cuts_inside)
