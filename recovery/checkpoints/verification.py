"""Verification: every byte of a checkpoint and of its bases is read and checked, and every problem is reported."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from recovery.archive import ArchiveUnavailable
from recovery.checkpoints import chunks, ids
from recovery.checkpoints.ahead import map_part
from recovery.checkpoints.chunks import ChunkEntry
from recovery.checkpoints.errors import BadCheckpoint, UnknownCheckpoint
from recovery.checkpoints.manifest import Manifest
from recovery.checkpoints.reading import CheckpointReader, Progress, check_link, read_chunk


class Fault(StrEnum):
    """`BAD` is a fact about the bytes; `UNREADABLE` may pass (network, I/O error); `BASE` is a base's problem."""

    BAD = "bad"
    UNREADABLE = "unreadable"
    BASE = "base"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    fault: Fault
    message: str


@dataclass(frozen=True)
class VerificationReport:
    """What was found in one checkpoint. Counts and bytes are what was read and is good, without the base's."""

    checkpoint_id: str
    manifest: Manifest | None
    problems: tuple[Problem, ...]
    chunks: int = 0
    records: int = 0
    raw_bytes: int = 0
    unlisted: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """True when this checkpoint can be restored."""
        return not self.problems

    @property
    def unreadable(self) -> bool:
        """True when some of it could not be read now, so that another try may end better."""
        return any(problem.fault is Fault.UNREADABLE for problem in self.problems)

    def explain(self) -> str:
        """The problems as one line."""
        return "; ".join(problem.message for problem in self.problems) or "verified"


class Verifier:
    """Verifies checkpoints, each at most once in the life of this object (bases are shared)."""

    def __init__(self, reader: CheckpointReader, progress: Progress | None = None) -> None:
        self._reader = reader
        self._progress = progress
        self._reports: dict[str, VerificationReport] = {}

    def verify(self, checkpoint_id: str) -> VerificationReport:
        """Read and check everything. Raises UnknownCheckpoint only; what is wrong is in the report."""
        if checkpoint_id not in self._reports:
            self._reports[checkpoint_id] = self._verify(checkpoint_id)
        return self._reports[checkpoint_id]

    def _verify(self, checkpoint_id: str) -> VerificationReport:
        try:
            manifest = self._reader.manifest(checkpoint_id)
        except BadCheckpoint as error:
            return VerificationReport(checkpoint_id, None, (Problem(Fault.BAD, str(error)),))
        except ArchiveUnavailable as error:
            return VerificationReport(checkpoint_id, None, (Problem(Fault.UNREADABLE, str(error)),))
        outcomes = [
            outcome for number in range(len(manifest.parts)) for outcome in self._part_outcomes(manifest, number)
        ]
        good = [outcome for outcome in outcomes if isinstance(outcome, ChunkEntry)]
        problems = [outcome for outcome in outcomes if isinstance(outcome, Problem)]
        return VerificationReport(
            checkpoint_id=checkpoint_id,
            manifest=manifest,
            problems=(*problems, *self._base_problems(manifest)),
            chunks=len(good),
            records=sum(entry.records for entry in good),
            raw_bytes=sum(entry.raw_bytes for entry in good),
            unlisted=tuple(self._unlisted(manifest)),
        )

    def _part_outcomes(self, manifest: Manifest, number: int) -> Iterator[ChunkEntry | Problem]:
        part = manifest.parts[number]
        whole = hashlib.sha256()
        intact = True

        def read(numbered: tuple[int, ChunkEntry]) -> tuple[bytes, ChunkEntry | Problem]:
            index, entry = numbered
            return self._read(ids.chunk_name(self._reader.folder, manifest.id, number, index), entry)

        for raw, outcome in map_part(part, read):
            whole.update(raw)
            intact = intact and not isinstance(outcome, Problem)
            if self._progress:
                self._progress(len(raw))
            yield outcome
        if intact and whole.hexdigest() != part.sha256:
            yield Problem(Fault.BAD, f"the SHA-256 of the part {part.name} differs")

    def _read(self, name: str, entry: ChunkEntry) -> tuple[bytes, ChunkEntry | Problem]:
        try:
            raw = read_chunk(self._reader.archive, name, entry)
            chunks.batches(raw, entry)
        except BadCheckpoint as error:
            return b"", Problem(Fault.BAD, str(error))
        except ArchiveUnavailable as error:
            return b"", Problem(Fault.UNREADABLE, str(error))
        return raw, entry

    def _base_problems(self, manifest: Manifest) -> Sequence[Problem]:
        if manifest.base is None:
            return ()
        try:
            report = self.verify(manifest.base.id)
        except UnknownCheckpoint:
            return (Problem(Fault.BASE, f"its base {manifest.base.id[:100]!r} is missing"),)
        if report.manifest is not None:
            try:
                check_link(manifest, report.manifest)
            except BadCheckpoint as error:
                return (Problem(Fault.BASE, str(error)),)
        fault = Fault.UNREADABLE if report.unreadable else Fault.BASE
        return () if report.ok else (Problem(fault, f"its base {manifest.base.id} is bad: {report.explain()}"),)

    def _unlisted(self, manifest: Manifest) -> Iterator[str]:
        """Objects in the checkpoint's folder that belong to nothing: harmless, and worth a look."""
        folder = self._reader.folder
        listed = {ids.manifest_name(folder, manifest.id)} | {
            ids.chunk_name(folder, manifest.id, number, index)
            for number, part in enumerate(manifest.parts)
            for index in range(len(part.chunks))
        }
        try:
            yield from (name for name in self._reader.archive.list(f"{folder}/{manifest.id}") if name not in listed)
        except ArchiveUnavailable:
            return  # the chunks' own problems tell it
