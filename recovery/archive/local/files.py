"""System calls for private, durable files: all relative to an open folder, no symbolic link ever followed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from recovery.archive.errors import (
    ArchiveReadError,
    ArchiveUnavailable,
    ArchiveWriteError,
    NotFound,
    TooLarge,
    UnsafeArchive,
)

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def make_root(path: Path) -> None:
    """Create `path` (0700) and its missing parents, each one durable."""
    if path.is_dir():
        return
    make_root(path.parent)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def open_root(path: str) -> int:
    """Descriptor of the archive's root. Raises UnsafeArchive for a foreign owner or open permissions."""
    descriptor = os.open(path, _FOLDER_FLAGS)
    try:
        _check_private(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_folder(parent: int, name: str) -> int:
    """Descriptor of the folder `name` in `parent`."""
    return os.open(name, _FOLDER_FLAGS, dir_fd=parent)


def open_or_make_folder(parent: int, name: str) -> int:
    """As `open_folder`, creating it (0700) when missing."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
    return open_folder(parent, name)


def write_new(folder: int, name: str, data: bytes) -> int:
    """Create the file `name` (0600) and write `data`; returns its descriptor, not yet synced."""
    descriptor = os.open(name, _CREATE_FLAGS, 0o600, dir_fd=folder)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_whole(folder: int, name: str, max_bytes: int) -> bytes:
    """Content of the plain file `name`. Raises TooLarge before reading, UnsafeArchive for anything but a file."""
    descriptor = os.open(name, _READ_FLAGS, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnsafeArchive(f"{name} is not a plain file")
        if status.st_size > max_bytes:
            raise TooLarge(f"{name}: {status.st_size} bytes, at most {max_bytes} allowed")
        pieces = []
        missing = status.st_size
        while missing and (piece := os.read(descriptor, missing)):
            pieces.append(piece)
            missing -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    finally:
        os.close(descriptor)


def is_plain_file(folder: int, name: str) -> bool:
    """True for a plain file, False for nothing. Raises UnsafeArchive for anything else."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode):
        raise UnsafeArchive(f"{name} is not a plain file")
    return True


def same_file(folder: int, name: str, other_folder: int, other: str) -> bool:
    """True when both names are links to one file."""
    left = os.stat(name, dir_fd=folder, follow_symlinks=False)
    right = os.stat(other, dir_fd=other_folder, follow_symlinks=False)
    return (left.st_dev, left.st_ino) == (right.st_dev, right.st_ino)


def _check_private(path: str, status: os.stat_result) -> None:
    if status.st_uid not in {0, os.geteuid()}:
        raise UnsafeArchive(f"{path} belongs to user {status.st_uid}; the archive must belong to the user who runs it")
    if status.st_mode & 0o022:
        raise UnsafeArchive(f"{path} can be written by others; run: chmod go-w {path}")


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn the system's errors into the archive's, for a read of `name`."""
    with _translated(name, ArchiveReadError):
        yield


@contextmanager
def writing(name: str) -> Iterator[None]:
    """Turn the system's errors into the archive's, for a change of `name`."""
    with _translated(name, ArchiveWriteError):
        yield


@contextmanager
def _translated(name: str, fallback: type[ArchiveUnavailable]) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(name) from error
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise UnsafeArchive(f"{name}: a symbolic link or a misplaced file is in the way") from error
        raise fallback(f"{name}: {error.strerror or error}") from error
