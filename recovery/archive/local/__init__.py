"""The archive in a folder: objects are files, created at most once and forced to disk."""

from recovery.archive.local.archive import LocalArchive

__all__ = ["LocalArchive"]
