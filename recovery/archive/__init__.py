"""The archive: immutable named objects in a folder or an object store, created at most once."""

from recovery.archive.base import MAX_OBJECT_BYTES, Archive, get_each, put_same
from recovery.archive.errors import (
    AlreadyExists,
    ArchiveError,
    ArchiveReadError,
    ArchiveUnavailable,
    ArchiveWriteError,
    InvalidName,
    Mismatch,
    NotFound,
    TooLarge,
    UnsafeArchive,
)
from recovery.archive.from_url import open_archive, read_archive
from recovery.archive.local.archive import LocalArchive
from recovery.archive.memory import MemoryArchive
from recovery.archive.names import folder_segment

__all__ = [
    "MAX_OBJECT_BYTES",
    "AlreadyExists",
    "Archive",
    "ArchiveError",
    "ArchiveReadError",
    "ArchiveUnavailable",
    "ArchiveWriteError",
    "InvalidName",
    "LocalArchive",
    "MemoryArchive",
    "Mismatch",
    "NotFound",
    "TooLarge",
    "UnsafeArchive",
    "folder_segment",
    "get_each",
    "open_archive",
    "put_same",
    "read_archive",
]
