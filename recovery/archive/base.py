"""The archive's interface: immutable named objects, created at most once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol

from recovery.archive.errors import AlreadyExists, Mismatch

MAX_OBJECT_BYTES = 128 * 1024 * 1024
#: How many objects `get_each` asks for at once, and how many bytes of them an archive answers with at most.
AHEAD_OBJECTS = 16
AHEAD_BYTES = 16 * 1024 * 1024


class Archive(Protocol):
    """A store of immutable objects. Names follow `recovery.archive.names`; every method raises InvalidName.

    Creating a name is the compare-and-swap that fences slow or paused writers: of any number of writers of one
    name exactly one wins, the others get AlreadyExists.
    """

    def put(self, name: str, data: bytes) -> None:
        """Create `name`. When this returns, the object survives a power cut.

        Raises AlreadyExists (what is there is durable and untouched), ArchiveWriteError (nothing is promised),
        TooLarge above MAX_OBJECT_BYTES, UnsafeArchive.
        """

    def get(self, name: str, max_bytes: int) -> bytes:
        """The object's bytes. Raises NotFound, TooLarge above `max_bytes`, ArchiveReadError, UnsafeArchive.

        Says nothing of durability: its writer may still be in `put`; see `confirm`.
        """

    def get_some(self, wanted: Sequence[str], max_bytes: int) -> Sequence[bytes]:
        """The first of the objects `wanted`, and as many more, in order, as can be had beside it at little cost.

        Answers with at most AHEAD_BYTES, but for the first. Raises as `get` does, for the first only: whatever is wrong
        with a later one ends the answer before it. At least one must be wanted. See `get_each`.
        """

    def confirm(self, name: str) -> None:
        """Make durable an object that another process may still be putting. Raises NotFound, ArchiveWriteError."""

    def exists(self, name: str) -> bool:
        """True when the object is there. Raises ArchiveReadError, UnsafeArchive."""

    def list(self, folder: str = "", start_after: str | None = None) -> Iterator[str]:
        """Names below `folder` (all levels), in ascending order, those after `start_after` only.

        The root's listing leaves out the quarantine; list `quarantine` to see it. Raises ArchiveReadError,
        UnsafeArchive.
        """

    def folders(self, folder: str = "") -> Sequence[str]:
        """Last segments of the folders directly below `folder`, in ascending order; never the quarantine."""

    def delete(self, name: str) -> None:
        """Remove the object; a missing one is no error. Raises ArchiveWriteError, UnsafeArchive."""

    def set_aside(self, name: str) -> str:
        """Move a bad object into the quarantine, never over another one; returns its new name.

        Raises NotFound, ArchiveWriteError.
        """


def put_same(archive: Archive, name: str, data: bytes) -> bool:
    """Create `name`, or find the very same bytes there: the idempotent `put` for a caller that may have died.

    True when this call created it. Raises Mismatch when other bytes hold the name, and what `put` raises.
    """
    try:
        archive.put(name, data)
    except AlreadyExists:
        if archive.get(name, MAX_OBJECT_BYTES) != data:
            raise Mismatch(f"{name} is already in the archive with other content") from None
        return False
    return True


def get_each(archive: Archive, wanted: Iterable[str], max_bytes: int) -> Iterator[bytes]:
    """`get` of one object after the other, a little ahead. Raises what `get` raises, where it is the object's turn."""
    source = iter(wanted)
    waiting = [*islice(source, AHEAD_OBJECTS)]
    while waiting:
        found = archive.get_some(waiting, max_bytes)
        yield from found
        waiting = [*waiting[len(found) :], *islice(source, len(found))]
