"""The checkpoint store: create, list, verify, read, set aside, delete."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from recovery.archive import Archive, ArchiveUnavailable
from recovery.checkpoints import ids, retention
from recovery.checkpoints.errors import BadCheckpoint, CheckpointError, UnknownCheckpoint
from recovery.checkpoints.manifest import MAX_DEPTH, Facts, Manifest
from recovery.checkpoints.parts import Batch, Part
from recovery.checkpoints.reading import CheckpointReader, Progress
from recovery.checkpoints.retention import MIN_VERIFIED, CleanupReport
from recovery.checkpoints.verification import VerificationReport, Verifier
from recovery.checkpoints.writing import CheckpointWriter, WriteOptions, WriteTarget
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.crash_points import reach
from recovery.identity import Identity

CRASH_POINTS = (
    "checkpoint.before-delete-manifest",
    "checkpoint.before-delete-chunk",
    "checkpoint.before-aside-manifest",
    "checkpoint.before-aside-chunk",
)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Layer:
    """One checkpoint of a chain, to be read during a restore."""

    manifest: Manifest
    _reader: CheckpointReader
    _progress: Progress | None = None

    @property
    def part_names(self) -> Sequence[str]:
        """Names of its parts, in the order written."""
        return tuple(part.name for part in self.manifest.parts)

    def read(self, part: str) -> Iterator[Batch]:
        """The batches of a part. Raises BadCheckpoint at the first chunk that is not as signed."""
        return self._reader.part(self.manifest, part, self._progress)


@dataclass(frozen=True)
class CheckpointSummary:
    """One line of a list: the manifest, or why it cannot be read."""

    checkpoint_id: str
    manifest: Manifest | None
    problem: str | None


class CheckpointStore:
    """Checkpoints below `folder` of an archive, signed by `identity`.

    Manifests of other nodes count only when their keys are among `trusted_keys`. Two processes may use one store at
    the same time; ids never collide.
    """

    def __init__(
        self,
        archive: Archive,
        identity: Identity,
        *,
        folder: str = "checkpoints",
        trusted_keys: Collection[bytes] = (),
        clock: Clock = SYSTEM_CLOCK,
        options: WriteOptions | None = None,
    ) -> None:
        self.archive = archive
        self.folder = folder
        self._clock = clock
        self._options = options or WriteOptions()
        self._target = WriteTarget(archive, folder, identity, clock, self._options)
        self._reader = CheckpointReader(archive, folder, frozenset({identity.public_key, *trusted_keys}))

    def create(
        self,
        *,
        sequence: int,
        parts: Iterable[Part],
        facts: Facts | Callable[[], Facts] = {},  # noqa: B006 - never changed
        base: str | None = None,
    ) -> Manifest:
        """Write a checkpoint: full, or incremental on top of `base`.

        `sequence` orders checkpoints (0 to 10^12 - 1). `facts` may be a function, which is called after the parts
        have been consumed. Raises CheckpointError, ArchiveWriteError (nothing may be counted on then), and for the
        base BadCheckpoint or UnknownCheckpoint.
        """
        base_manifest = self._usable_base(base, sequence) if base else None
        writer = CheckpointWriter(self._target, sequence, base_manifest)
        made = writer.write(parts, facts if callable(facts) else lambda: facts)
        fields = {"checkpoint": made.id, "kind": made.kind, "records": made.records}
        logger.info("checkpoint.created: %(checkpoint)s, %(kind)s, %(records)d records", fields, extra=fields)
        return made

    def ids(self) -> Sequence[str]:
        """Ids of all checkpoints that have a manifest, good or bad, oldest first. Raises ArchiveReadError."""
        return self._scan()[0]

    def exists(self, checkpoint_id: str) -> bool:
        """True when it has a manifest, good or bad."""
        return self.archive.exists(ids.manifest_name(self.folder, checkpoint_id))

    def manifest(self, checkpoint_id: str) -> Manifest:
        """The manifest, its signature checked. Raises UnknownCheckpoint, BadCheckpoint, ArchiveReadError."""
        return self._reader.manifest(checkpoint_id)

    def summaries(self) -> Sequence[CheckpointSummary]:
        """All checkpoints, oldest first, from their manifests only. Raises ArchiveReadError."""
        return [summary for key in self.ids() if (summary := self._summary(key)) is not None]

    def layers(self, checkpoint_id: str, progress: Progress | None = None) -> Sequence[Layer]:
        """What to restore, the full checkpoint first. Raises as `manifest` does; `progress` gets raw bytes read."""
        return [Layer(manifest, self._reader, progress) for manifest in self._reader.chain(checkpoint_id)]

    def verify(self, checkpoint_id: str, progress: Progress | None = None) -> VerificationReport:
        """Read and check every byte, the bases' too. Raises UnknownCheckpoint only."""
        return Verifier(self._reader, progress).verify(checkpoint_id)

    def verified_newest_first(self, on_bad: Callable[[VerificationReport], None] | None = None) -> Iterator[Manifest]:
        """Checkpoints that verify completely, the newest first; each is verified when it is asked for.

        Bad ones are logged and passed to `on_bad`, never deleted. Raises ArchiveReadError from the listing.
        """
        verifier = Verifier(self._reader)
        for checkpoint_id in reversed(self.ids()):
            try:
                report = verifier.verify(checkpoint_id)
            except UnknownCheckpoint:  # deleted since the listing
                continue
            if report.ok and report.manifest is not None:
                yield report.manifest
            else:
                _log_bad(report)
                if on_bad:
                    on_bad(report)

    def newest_verified(self) -> Manifest | None:
        """The newest checkpoint that verifies completely; None when there is none.

        Raises ArchiveUnavailable when there is none, but some could not be read now.
        """
        bad: list[VerificationReport] = []
        found = next(self.verified_newest_first(bad.append), None)
        if found is None and any(report.unreadable for report in bad):
            raise ArchiveUnavailable("; ".join(report.explain() for report in bad))
        return found

    def cleanup(self, keep: int = 5, incomplete_seconds: float = 7200.0) -> CleanupReport:
        """Delete what is older than the newest `keep` (at least 3) that verify just now; see `retention.plan`.

        Remains of killed writers go when they began more than `incomplete_seconds` ago, which must be well above
        the time that writing may take. Raises CheckpointError, ArchiveError.
        """
        if keep < MIN_VERIFIED:
            raise CheckpointError(f"at least {MIN_VERIFIED} checkpoints are kept, not {keep}")
        if incomplete_seconds < 2 * self._options.write_seconds:
            raise CheckpointError("remains may only be removed after twice the time that writing may take")
        complete, incomplete = self._scan()
        plan = retention.plan(complete[::-1], Verifier(self._reader), keep)
        for report in plan.bad:
            _log_bad(report)
        for checkpoint_id in plan.delete:
            self.delete(checkpoint_id)
        limit = self._clock.time() - incomplete_seconds
        stale = tuple(checkpoint_id for checkpoint_id in incomplete if ids.started_at(checkpoint_id) < limit)
        for checkpoint_id in stale:
            self.delete(checkpoint_id)
        oldest = min(plan.keep, key=lambda manifest: manifest.id, default=None)
        kept = tuple(sorted(set(complete) - set(plan.delete)))
        enough = len(plan.keep) >= MIN_VERIFIED
        return CleanupReport(kept, plan.delete, plan.bad, stale, oldest if enough else None)

    def delete(self, checkpoint_id: str) -> None:
        """Remove a checkpoint; without its manifest it is gone, so that comes first. A missing one is no error."""
        self._each_object(checkpoint_id, "checkpoint.before-delete-manifest", self.archive.delete)

    def quarantine(self, checkpoint_id: str) -> None:
        """Move a bad checkpoint aside, where no listing finds it and nothing overwrites it."""
        self._each_object(checkpoint_id, "checkpoint.before-aside-manifest", self.archive.set_aside)
        logger.warning("checkpoint.set-aside: %s", checkpoint_id, extra={"checkpoint": checkpoint_id})

    def _each_object(self, checkpoint_id: str, point: str, act: Callable[[str], object]) -> None:
        manifest_name = ids.manifest_name(self.folder, checkpoint_id)
        names = list(self.archive.list(f"{self.folder}/{checkpoint_id}"))
        for name in sorted(names, key=lambda name: (name != manifest_name, name)):
            reach(point if name == manifest_name else point.replace("manifest", "chunk"))
            act(name)

    def _summary(self, checkpoint_id: str) -> CheckpointSummary | None:
        try:
            return CheckpointSummary(checkpoint_id, self.manifest(checkpoint_id), None)
        except BadCheckpoint as error:
            return CheckpointSummary(checkpoint_id, None, str(error))
        except UnknownCheckpoint:  # deleted since the listing
            return None

    def _scan(self) -> tuple[Sequence[str], Sequence[str]]:
        """Ids with and without a manifest, oldest first."""
        complete: dict[str, bool] = {}
        for name in self.archive.list(self.folder):
            checkpoint_id = name[len(self.folder) + 1 :].split("/")[0]
            if ids.is_id(checkpoint_id):
                is_manifest = name == ids.manifest_name(self.folder, checkpoint_id)
                complete[checkpoint_id] = complete.get(checkpoint_id, False) or is_manifest
        return [key for key in complete if complete[key]], [key for key in complete if not complete[key]]

    def _usable_base(self, base: str, sequence: int) -> Manifest:
        manifest = self._reader.manifest(base)
        if manifest.depth >= MAX_DEPTH:
            raise CheckpointError(f"{base} is already the last of a chain; write a full checkpoint")
        if manifest.sequence > sequence:
            raise CheckpointError(f"{base} is ahead of the sequence number {sequence}")
        return manifest


def next_base(store: CheckpointStore, outgrown: float = 0.5) -> Manifest | None:
    """The checkpoint that the next incremental one should build on; None: write a full one.

    That is the newest one with a good signature, unless its chain is at its longest or its incrementals have grown
    past `outgrown` of the full one's stored bytes. Reads manifests only.
    """
    newest = next(iter(reversed(store.ids())), None)
    if newest is None:
        return None
    chain: Sequence[Manifest] = [layer.manifest for layer in _chain_or_nothing(store, newest)]
    if not chain or chain[-1].depth >= MAX_DEPTH:
        return None
    grown = sum(manifest.stored_bytes for manifest in chain[1:])
    return None if grown > outgrown * chain[0].stored_bytes else chain[-1]


def _chain_or_nothing(store: CheckpointStore, checkpoint_id: str) -> Sequence[Layer]:
    try:
        return store.layers(checkpoint_id)
    except CheckpointError as error:
        fields = {"checkpoint": checkpoint_id, "error": str(error)}
        logger.error("checkpoint.not-a-base: %(checkpoint)s: %(error)s", fields, extra=fields)  # noqa: TRY400 - the text says it all
        return ()


def _log_bad(report: VerificationReport) -> None:
    fields = {"checkpoint": report.checkpoint_id, "problems": report.explain()}
    logger.error("checkpoint.bad: %(checkpoint)s: %(problems)s", fields, extra=fields)
