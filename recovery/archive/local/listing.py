"""Walking an archive's folders in the order of the object names."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence

from recovery.archive import names
from recovery.archive.errors import UnsafeArchive
from recovery.archive.local import files

logger = logging.getLogger(__name__)


def walk(folder: int, prefix: str, start_after: str | None) -> Iterator[str]:
    """Names below the open `folder`, ascending, each starting with `prefix`.

    A folder sorts as its name with a slash, which is how the names inside it compare with its neighbours.
    """
    for segment in sorted(_segments(folder, prefix)):
        if not segment.endswith("/"):
            if start_after is None or prefix + segment > start_after:
                yield prefix + segment
        elif not _is_before(prefix + segment, start_after):
            yield from _walk_inside(folder, segment, prefix, start_after)


def folders(folder: int, at_root: bool) -> Sequence[str]:
    """Segments of the folders directly inside the open `folder`, ascending."""
    found = sorted(segment[:-1] for segment in _segments(folder, "" if at_root else "/") if segment.endswith("/"))
    return [segment for segment in found if next(_walk_inside(folder, f"{segment}/", "", None), None)]


def _walk_inside(folder: int, segment: str, prefix: str, start_after: str | None) -> Iterator[str]:
    try:
        inside = files.open_folder(folder, segment[:-1])
    except FileNotFoundError:  # removed as empty meanwhile
        return
    try:
        yield from walk(inside, prefix + segment, start_after)
    finally:
        os.close(inside)


def _is_before(prefix: str, start_after: str | None) -> bool:
    """True when every name with this prefix sorts before `start_after`."""
    return start_after is not None and prefix < start_after and not start_after.startswith(prefix)


def _segments(folder: int, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if not prefix and entry.name == names.QUARANTINE:
                continue
            if is_folder and names.is_folder_segment(entry.name):
                yield f"{entry.name}/"
            elif not is_folder and names.is_object_segment(entry.name):
                yield entry.name
            elif entry.is_symlink() and names.is_folder_segment(entry.name):
                raise UnsafeArchive(f"{prefix}{entry.name} is a symbolic link")
            elif not entry.name.startswith("."):
                fields = {"folder": prefix, "file": entry.name}
                logger.warning("archive.foreign-file-ignored: %(folder)s%(file)s", fields, extra=fields)
