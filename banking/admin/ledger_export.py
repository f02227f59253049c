"""A ledger's archive as one file: out, and in again after everything in it was verified."""

from __future__ import annotations

import io
import re
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from banking.blocks.store import BlockStore, ledger_folder
from banking.errors import LedgerExists
from banking.restore.checkpointing import checkpoint_store
from config.errors import TrunklineError
from recovery.archive import MAX_OBJECT_BYTES, LocalArchive

_NAMES = re.compile(
    r"blocks/[0-9]{9}/[0-9]{12}\.block"
    r"|checkpoints/[0-9]{12}-[0-9a-f]{8}-[0-9a-f]{8}/(?:checkpoint\.manifest|part-[0-9]{2}-[0-9]{6}\.zst)"
)
#: What one of our members needs beside its data: a header, padding, and the end of the file.
_MAX_HEADER_BYTES = 16 * 1024


class BadExport(TrunklineError):
    """The file is not a ledger's export, or something in it does not verify."""


def export_ledger(blocks: BlockStore, file: BinaryIO) -> int:
    """Write all blocks and checkpoints as a tar file; returns how many objects. No key is in it.

    Raises BadExport when there are none, ArchiveReadError.
    """
    folder, count = ledger_folder(blocks.ledger), 0
    with tarfile.open(fileobj=file, mode="w|") as tar:
        for name in blocks.archive.list(folder):
            data = blocks.archive.get(name, MAX_OBJECT_BYTES)
            entry = tarfile.TarInfo(name.removeprefix(f"{folder}/"))
            entry.size, entry.mode = len(data), 0o600
            tar.addfile(entry, io.BytesIO(data))
            count += 1
    if not count:
        raise BadExport(f"The archive has no ledger named {blocks.ledger!r}.")
    return count


def import_ledger(blocks: BlockStore, file: BinaryIO, *, most_bytes: int) -> int:
    """Verify an export completely, then put it into the archive as the ledger of `blocks`; returns how many objects.

    Nothing is put before all has been verified: names, sizes (`most_bytes` in the whole stream), signatures, the
    chain of blocks and every byte of every checkpoint. Raises BadExport, LedgerExists, ArchiveUnavailable.
    """
    if blocks.newest() is not None:
        raise LedgerExists(f"The archive has a ledger named {blocks.ledger!r} already; choose another name.")
    with tempfile.TemporaryDirectory(prefix="trunkline-import-") as folder:
        staged = BlockStore(LocalArchive(Path(folder)), blocks.ledger, blocks.identity, blocks.trusted_keys)
        names = _unpack(staged, file, most_bytes)
        _verify(staged)
        # Checkpoints last: without its blocks none of them is of use.
        for name in sorted(names, key=lambda name: ("/checkpoints/" in name, name)):
            blocks.archive.put(name, staged.archive.get(name, MAX_OBJECT_BYTES))
    return len(names)


class _Metered:
    """A stream that gives at most `most` bytes, and no more at a time than was allowed before.

    tarfile reads the header of a member whole, with names as long as the header claims: what a member may cost must be
    decided here, below it.
    """

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._most = self._room = most
        self._allowed = 0

    def allow(self, count: int) -> None:
        """From here on `count` bytes may be read."""
        # tarfile reads ahead by up to one of its blocks.
        self._allowed = count + tarfile.RECORDSIZE

    def read(self, count: int) -> bytes:
        """Raises BadExport instead of more than was allowed."""
        data = self._file.read(count)
        self._room -= len(data)
        self._allowed -= len(data)
        if self._room < 0:
            raise BadExport(f"The file holds more than {self._most} bytes.")
        if self._allowed < 0:
            raise BadExport("The file holds a header that is larger than any of a ledger's export.")
        return data


def _unpack(staged: BlockStore, file: BinaryIO, most_bytes: int) -> list[str]:
    names: dict[str, None] = {}
    meter = _Metered(file, most_bytes)
    meter.allow(_MAX_HEADER_BYTES)
    try:
        with tarfile.open(fileobj=cast("BinaryIO", meter), mode="r|") as tar:
            for name, data in _members(tar, meter):
                full = f"{ledger_folder(staged.ledger)}/{name}"
                if full in names:
                    raise BadExport(f"The file holds {name} twice.")
                staged.archive.put(full, data)
                names[full] = None
    except (tarfile.TarError, EOFError) as error:
        raise BadExport(f"The file is not a ledger's export: {error}") from error
    return list(names)


def _members(tar: tarfile.TarFile, meter: _Metered) -> Iterator[tuple[str, bytes]]:
    while (entry := tar.next()) is not None:
        if not entry.isreg() or not _NAMES.fullmatch(entry.name):
            raise BadExport(f"The file holds something that is no block or checkpoint: {entry.name[:200]!r}")
        if entry.size > MAX_OBJECT_BYTES:
            raise BadExport(f"{entry.name} has {entry.size} bytes, the most is {MAX_OBJECT_BYTES}")
        meter.allow(entry.size)
        stream = tar.extractfile(entry)
        data = stream.read(MAX_OBJECT_BYTES + 1) if stream else b""
        if len(data) != entry.size:
            raise BadExport(f"{entry.name} is cut off")
        yield entry.name, data
        # tarfile remembers every member it has seen.
        tar.members.clear()  # type: ignore[attr-defined]
        meter.allow(_MAX_HEADER_BYTES)


def _verify(staged: BlockStore) -> None:
    first = next(staged.slots(), None)
    if first is None:
        raise BadExport("The file holds no blocks.")
    for _ in staged.follow(first, None):
        pass
    store = checkpoint_store(staged)
    bad = [report.explain() for report in map(store.verify, store.ids()) if not report.ok]
    if bad:
        raise BadExport(f"A checkpoint in the file does not verify: {bad[0]}")
    if first > 0 and not any(int(store.manifest(name).facts["slot"]) >= first for name in store.ids()):
        raise BadExport("The file holds neither the genesis nor a checkpoint to begin with.")
