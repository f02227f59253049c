"""What can go wrong with an archive, sorted by what the caller may do about it."""

from __future__ import annotations

from recovery.errors import RecoveryError


class ArchiveError(RecoveryError):
    """Base of every archive error."""


class InvalidName(ArchiveError):
    """The name breaks the rules for object names. A bug in the caller, never a fault of the store."""


class AlreadyExists(ArchiveError):
    """An object of this name is already there, durable, and was not touched."""


class NotFound(ArchiveError):
    """No object of this name."""


class TooLarge(ArchiveError):
    """The object is larger than the caller allows."""


class Mismatch(ArchiveError):
    """An object of this name is there with other bytes."""


class UnsafeArchive(ArchiveError):
    """A symbolic link, a foreign owner or open permissions where only plain private files may be."""


class ArchiveUnavailable(ArchiveError):
    """The store could not do its work now (disk full, I/O error, network). Try again later."""


class ArchiveReadError(ArchiveUnavailable):
    """Reading failed; nothing is known about the object."""


class ArchiveWriteError(ArchiveUnavailable):
    """Writing failed. The object may or may not be there; it must not be counted as stored.

    Putting the same bytes again is safe: see `put_same`.
    """
