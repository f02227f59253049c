"""Saving and restoring a set of components, under the names that operators know."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from recovery.archive import ArchiveReadError
from recovery.checkpoints.components import Component, ComponentLayer
from recovery.checkpoints.errors import BadCheckpoint, UnknownCheckpoint
from recovery.checkpoints.manifest import Facts, Manifest
from recovery.checkpoints.parts import Part
from recovery.checkpoints.reading import Progress
from recovery.checkpoints.retention import CleanupReport
from recovery.checkpoints.store import CheckpointStore, Layer, next_base
from recovery.checkpoints.verification import VerificationReport
from recovery.crash_points import reach

CRASH_POINTS = ("recovery.before-restore", "recovery.before-activate", "recovery.after-activate")
Kind = Literal["auto", "full"]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckpointSummary:
    """One line of a list: the manifest, or why it cannot be read."""

    checkpoint_id: str
    manifest: Manifest | None
    problem: str | None


class Checkpoint:
    """Checkpoints of the given components, by name. The mapping is read anew at every call."""

    def __init__(self, store: CheckpointStore, components: Mapping[str, Component]) -> None:
        self.store = store
        self._components = components

    def save_checkpoint(
        self,
        *,
        sequence: int,
        facts: Facts | Callable[[], Facts] = {},  # noqa: B006 - never changed
        kind: Kind = "auto",
    ) -> Manifest:
        """Save all components in one checkpoint; see `CheckpointStore.create` for what it raises.

        `auto` writes an incremental one where `next_base` finds a base that is not ahead of `sequence`.
        """
        base = next_base(self.store) if kind == "auto" else None
        if base is not None and base.sequence > sequence:
            base = None
        return self.store.create(
            sequence=sequence, parts=self._parts(base), facts=facts, base=base.id if base is not None else None
        )

    def restore_checkpoint(self, checkpoint_id: str, progress: Progress | None = None) -> Manifest:
        """Restore all components from one checkpoint, which is verified completely first.

        Raises UnknownCheckpoint, BadCheckpoint, RestoreRefused, ArchiveReadError; nothing has been switched then.
        """
        report = self.store.verify(checkpoint_id, progress)
        if report.unreadable:
            raise ArchiveReadError(f"checkpoint {checkpoint_id}: {report.explain()}")
        if report.manifest is None or not report.ok:
            raise BadCheckpoint(f"checkpoint {checkpoint_id}: {report.explain()}")
        self.restore_reading(checkpoint_id, progress)
        return report.manifest

    def restore_reading(self, checkpoint_id: str, progress: Progress | None = None) -> None:
        """Restore in one reading: every byte is checked before its component gets it, and all before any activates.

        Raises UnknownCheckpoint, BadCheckpoint, RestoreRefused, ArchiveReadError; nothing has been switched then.
        """
        layers = self.store.layers(checkpoint_id, progress)
        begun: list[Component] = []
        try:
            for name, component in self._components.items():
                reach("recovery.before-restore")
                begun.append(component)
                component.restore_parts([ComponentLayer(layer, name) for layer in layers])
            self._read_unknown_parts(checkpoint_id, layers)
        except BaseException:
            for component in begun:
                component.discard_restored()
            raise
        for component in begun:
            reach("recovery.before-activate")
            component.activate_restored()
        reach("recovery.after-activate")

    def list_checkpoints(self) -> Sequence[CheckpointSummary]:
        """All checkpoints, oldest first, from their manifests only. Raises ArchiveReadError."""
        return [summary for key in self.store.ids() if (summary := self._summary(key)) is not None]

    def verify_checkpoint(self, checkpoint_id: str) -> VerificationReport:
        """Read and check every byte of one checkpoint and its bases. Raises UnknownCheckpoint only."""
        return self.store.verify(checkpoint_id)

    def cleanup_old_checkpoints(self, keep: int = 5) -> CleanupReport:
        """Keep the newest `keep` (at least 3) that verify, with their bases; see `CheckpointStore.cleanup`."""
        return self.store.cleanup(keep)

    def _parts(self, base: Manifest | None) -> Iterator[Part]:
        for name, component in self._components.items():
            for part in component.checkpoint_parts(base):
                yield replace(part, name=f"{name}/{part.name}")

    def _summary(self, checkpoint_id: str) -> CheckpointSummary | None:
        try:
            return CheckpointSummary(checkpoint_id, self.store.manifest(checkpoint_id), None)
        except BadCheckpoint as error:
            return CheckpointSummary(checkpoint_id, None, str(error))
        except UnknownCheckpoint:  # deleted since the listing
            return None

    def _read_unknown_parts(self, checkpoint_id: str, layers: Sequence[Layer]) -> None:
        """What no component takes is verified all the same: a checkpoint is good as a whole or not at all."""
        unknown = [
            (layer, name) for layer in layers for name in layer.part_names if name.split("/")[0] not in self._components
        ]
        if unknown:
            names = sorted({name for _, name in unknown})
            fields = {"checkpoint": checkpoint_id, "parts": names}
            logger.warning("checkpoint.parts-of-no-component: %(checkpoint)s, %(parts)s", fields, extra=fields)
        for layer, name in unknown:
            for _ in layer.read(name):
                pass
