"""Rules for object names: one strict pattern, so that a name can never leave the archive or mean two things.

A name is `folder/folder/object.ending`. Folders have no dot and objects have an ending, so that no object can be
taken for a folder; only lower case, so that file systems that ignore case keep objects apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from recovery.archive.errors import InvalidName

QUARANTINE = "quarantine"

_FOLDER = r"[a-z0-9](?:[a-z0-9-]{0,198}[a-z0-9])?"
_OBJECT = r"[a-z0-9](?:[a-z0-9-]{0,99})(?:\.[a-z0-9-]{1,32}){1,4}"
_FOLDER_PATTERN = re.compile(_FOLDER)
_OBJECT_PATTERN = re.compile(_OBJECT)
_FOLDERS_PATTERN = re.compile(rf"{_FOLDER}(?:/{_FOLDER}){{0,8}}")
_NAME_PATTERN = re.compile(rf"(?:{_FOLDER}/){{0,8}}{_OBJECT}")
# One folder and one ending fewer, so that every object still has a valid name in the quarantine.
_NEW_NAME_PATTERN = re.compile(rf"(?:{_FOLDER}/){{0,7}}[a-z0-9][a-z0-9-]{{0,99}}(?:\.[a-z0-9-]{{1,32}}){{1,3}}")
_ENCODED = "x--"


def check_name(name: str) -> str:
    """`name` when it is a valid object name. Raises InvalidName."""
    if not _NAME_PATTERN.fullmatch(name):
        raise InvalidName(f"not a valid object name: {name[:200]!r}")
    return name


def check_new_name(name: str) -> str:
    """`name` when an object may be created under it: valid, and outside the quarantine. Raises InvalidName."""
    if name.startswith(f"{QUARANTINE}/"):
        raise InvalidName(f"only set_aside() writes into the quarantine: {name[:200]!r}")
    if not _NEW_NAME_PATTERN.fullmatch(name):
        raise InvalidName(f"not a valid object name: {name[:200]!r}")
    return name


def is_name(text: str) -> bool:
    """True for a valid object name."""
    return bool(_NAME_PATTERN.fullmatch(text))


def check_folder(folder: str) -> str:
    """`folder` when it is valid; the empty text is the archive's root. Raises InvalidName."""
    if folder and not _FOLDERS_PATTERN.fullmatch(folder):
        raise InvalidName(f"not a valid folder name: {folder[:200]!r}")
    return folder


def is_object_segment(text: str) -> bool:
    """True for a valid last segment of a name."""
    return bool(_OBJECT_PATTERN.fullmatch(text))


def is_folder_segment(text: str) -> bool:
    """True for one valid folder segment."""
    return bool(_FOLDER_PATTERN.fullmatch(text))


def folder_segment(text: str) -> str:
    """A folder segment for any `text` of at most 90 UTF-8 bytes; different texts give different segments.

    Valid segments stay as they are, all others become `x--` and the hex of their UTF-8 bytes. Raises InvalidName.
    """
    if is_folder_segment(text) and not text.startswith(_ENCODED):
        return text
    encoded = _ENCODED + text.encode().hex()
    if not text or not is_folder_segment(encoded):
        raise InvalidName(f"cannot be made a folder name: {text[:200]!r}")
    return encoded


def unfold_segment(segment: str) -> str:
    """The text that `folder_segment` made `segment` from."""
    if segment.startswith(_ENCODED):
        return bytes.fromhex(segment.removeprefix(_ENCODED)).decode()
    return segment


def names_aside(name: str) -> Iterator[str]:
    """Names in the quarantine for a bad object, in the order they are tried."""
    yield f"{QUARANTINE}/{name}"
    for number in range(2, 1000):
        yield f"{QUARANTINE}/{name}.again-{number}"
