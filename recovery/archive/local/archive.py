"""The archive in a directory. Safe on any POSIX file system with hard links.

An object is written to a temporary file, synced, linked to its name (link(2) fails when the name exists: that is
the fence), and the folders up to the root are synced. An error of fsync is final for that descriptor, because Linux
drops the dirty pages and forgets the error (Rebello et al., "Can Applications Recover from fsync Failures?",
USENIX ATC 2020); a new attempt starts with a new file.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from recovery.archive import names
from recovery.archive.base import MAX_OBJECT_BYTES
from recovery.archive.errors import AlreadyExists, ArchiveUnavailable, ArchiveWriteError, NotFound, TooLarge
from recovery.archive.local import files, leftovers, listing
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.crash_points import reach

CRASH_POINTS = (
    "archive.before-write",
    "archive.before-fsync",
    "archive.before-link",
    "archive.before-unlink",
    "archive.before-folder-fsync",
)
_TEMPORARY = ".tmp"
_ATTEMPTS = 8
logger = logging.getLogger(__name__)


class LocalArchive:
    """Objects as files (0600) in folders (0700) below `root`.

    The root is created when missing, and leftovers of killed writers are removed; with `create` False nothing is
    touched, and a missing root raises NotFound.
    """

    def __init__(
        self,
        root: Path,
        *,
        clock: Clock = SYSTEM_CLOCK,
        orphan_seconds: float = 60.0,
        leftover_seconds: float = 86_400.0,
        create: bool = True,
    ) -> None:
        self.root = root.absolute()
        self._clock = clock
        self._orphan_seconds = orphan_seconds
        self._leftover_seconds = leftover_seconds
        if not create:
            with files.reading(str(self.root)), _closing(files.open_root(str(self.root))) as root_folder:
                self._identity = _identity(root_folder)
            return
        with files.writing(str(self.root)):
            files.make_root(self.root)
            with _closing(files.open_root(str(self.root))) as root_folder:
                self._identity = _identity(root_folder)
        self.clean_leftovers()

    def put(self, name: str, data: bytes) -> None:
        names.check_new_name(name)
        if len(data) > MAX_OBJECT_BYTES:
            raise TooLarge(f"{name}: {len(data)} bytes")
        try:
            with files.writing(name), self._chain(_TEMPORARY, make=True) as (_, temporary_folder):
                temporary = self._write_temporary(temporary_folder, data)
                try:
                    self._publish(temporary_folder, temporary, name)
                finally:
                    _discard(temporary_folder, temporary)
        except NotFound as error:
            raise ArchiveWriteError(f"{name}: the temporary file or folder was removed meanwhile") from error

    def get(self, name: str, max_bytes: int) -> bytes:
        folder, leaf = _split(names.check_name(name))
        with files.reading(name), self._chain(folder) as chain:
            return files.read_whole(chain[-1], leaf, max_bytes)

    def get_some(self, wanted: Sequence[str], max_bytes: int) -> Sequence[bytes]:
        return [self.get(wanted[0], max_bytes)]

    def confirm(self, name: str) -> None:
        folder, leaf = _split(names.check_name(name))
        with files.writing(name), self._chain(folder) as chain:
            if not files.is_plain_file(chain[-1], leaf):
                raise NotFound(name)
            _sync(chain)

    def exists(self, name: str) -> bool:
        folder, leaf = _split(names.check_name(name))
        try:
            with files.reading(name), self._chain(folder) as chain:
                return files.is_plain_file(chain[-1], leaf)
        except NotFound:
            return False

    def list(self, folder: str = "", start_after: str | None = None) -> Iterator[str]:
        try:
            with files.reading(folder), self._chain(names.check_folder(folder)) as chain:
                yield from listing.walk(chain[-1], f"{folder}/" if folder else "", start_after)
        except NotFound:
            return

    def folders(self, folder: str = "") -> Sequence[str]:
        try:
            with files.reading(folder), self._chain(names.check_folder(folder)) as chain:
                return listing.folders(chain[-1], at_root=not folder)
        except NotFound:
            return []

    def delete(self, name: str) -> None:
        folder, leaf = _split(names.check_name(name))
        with suppress(NotFound), files.writing(name), self._chain(folder) as chain:
            os.unlink(leaf, dir_fd=chain[-1])
            os.fsync(chain[-1])
            _remove_empty(chain, folder)

    def set_aside(self, name: str) -> str:
        folder, leaf = _split(names.check_new_name(name))
        with files.writing(name), self._chain(folder) as chain:
            aside = self._link_aside(chain[-1], leaf, name)
            reach("archive.before-unlink")
            os.unlink(leaf, dir_fd=chain[-1])
            os.fsync(chain[-1])
            _remove_empty(chain, folder)
        return aside

    def clean_leftovers(self) -> int:
        """Remove temporary files of killed writers; returns how many. Raises ArchiveWriteError."""
        with files.writing(_TEMPORARY), self._chain(_TEMPORARY, make=True) as (_, folder):
            return leftovers.clean(folder, self._clock, self._orphan_seconds, self._leftover_seconds)

    def _write_temporary(self, folder: int, data: bytes) -> str:
        reach("archive.before-write")
        name = leftovers.new_temporary_name()
        try:
            with _closing(files.write_new(folder, name, data)) as descriptor:
                reach("archive.before-fsync")
                os.fsync(descriptor)
        except BaseException:
            _discard(folder, name)
            raise
        return name

    def _publish(self, temporary_folder: int, temporary: str, name: str) -> None:
        folder, leaf = _split(name)
        reach("archive.before-link")
        with self._chain_for_new(folder, temporary_folder, temporary, leaf) as (chain, created):
            reach("archive.before-unlink")
            if created:
                _discard(temporary_folder, temporary)
            reach("archive.before-folder-fsync")
            _sync(chain)  # also for a lost race: what AlreadyExists speaks of must be durable
            if not created:
                raise AlreadyExists(name)

    @contextmanager
    def _chain_for_new(
        self, folder: str, temporary_folder: int, temporary: str, leaf: str
    ) -> Iterator[tuple[Sequence[int], bool]]:
        """Link the file to its name; folders that a concurrent `delete` removes as empty are made again."""
        for attempt in range(_ATTEMPTS):
            with ExitStack() as stack:
                try:
                    chain = stack.enter_context(self._chain(folder, make=True))
                    created = _link(temporary_folder, temporary, chain[-1], leaf)
                except FileNotFoundError:
                    if attempt == _ATTEMPTS - 1:
                        raise
                    continue
                yield chain, created
                return

    def _link_aside(self, folder: int, leaf: str, name: str) -> str:
        for aside in names.names_aside(name):
            target_folder, target = _split(aside)
            with self._chain(target_folder, make=True) as chain:
                created = _link(folder, leaf, chain[-1], target)
                # A run killed between link and unlink left both names: finish its work.
                if created or files.same_file(folder, leaf, chain[-1], target):
                    _sync(chain)
                    return aside
        raise ArchiveWriteError(f"the quarantine is full of {name}")

    @contextmanager
    def _chain(self, folder: str, make: bool = False) -> Iterator[Sequence[int]]:
        """Descriptors of the root and of every folder down to `folder`."""
        step = files.open_or_make_folder if make else files.open_folder
        with ExitStack() as stack:
            chain = [stack.enter_context(_closing(self._open_root()))]
            for segment in folder.split("/") if folder else ():
                chain.append(stack.enter_context(_closing(step(chain[-1], segment))))
            yield chain

    def _open_root(self) -> int:
        """The root as it was when opened: an unmounted disk must not be taken for an empty archive."""
        try:
            descriptor = files.open_root(str(self.root))
        except FileNotFoundError as error:
            raise ArchiveUnavailable(f"the archive folder {self.root} is gone") from error
        if _identity(descriptor) != self._identity:
            os.close(descriptor)
            raise ArchiveUnavailable(f"{self.root} was replaced or unmounted since it was opened; restart to use it")
        return descriptor


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _split(name: str) -> tuple[str, str]:
    folder, _, leaf = name.rpartition("/")
    return folder, leaf


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _link(folder: int, name: str, target_folder: int, target: str) -> bool:
    """True when `target` was created, False when it was there."""
    try:
        os.link(name, target, src_dir_fd=folder, dst_dir_fd=target_folder, follow_symlinks=False)
    except FileExistsError:
        return False
    return True


def _sync(chain: Sequence[int]) -> None:
    for descriptor in reversed(chain):
        os.fsync(descriptor)


def _discard(folder: int, name: str) -> None:
    """Remove a temporary file; a failure leaves it to `clean_leftovers`."""
    try:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
    except OSError as error:
        fields = {"file": name, "error": str(error)}
        logger.warning("archive.temporary-not-removed: %(file)s: %(error)s", fields, extra=fields)


def _remove_empty(chain: Sequence[int], folder: str) -> None:
    segments = folder.split("/") if folder else []
    for parent, segment in zip(reversed(chain[:-1]), reversed(segments), strict=True):
        try:
            os.rmdir(segment, dir_fd=parent)
        except OSError:  # not empty, or a writer was quicker
            return
