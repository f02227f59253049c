"""What takes part in a checkpoint, and how it gets its state back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from recovery.checkpoints.manifest import Manifest
from recovery.checkpoints.parts import Batch, Part
from recovery.checkpoints.store import Layer


@dataclass(frozen=True)
class ComponentLayer:
    """One checkpoint of a chain as one component sees it: only its own parts, by its own names for them."""

    layer: Layer
    component: str

    @property
    def manifest(self) -> Manifest:
        """The whole manifest, for its facts and sequence number."""
        return self.layer.manifest

    @property
    def part_names(self) -> Sequence[str]:
        """The component's parts; none when it did not exist yet when the checkpoint was made."""
        prefix = f"{self.component}/"
        return tuple(name[len(prefix) :] for name in self.layer.part_names if name.startswith(prefix))

    def read(self, part: str) -> Iterator[Batch]:
        """The batches of a part, each checked before it is handed out. Raises BadCheckpoint, ArchiveReadError."""
        return self.layer.read(f"{self.component}/{part}")


class Component(Protocol):
    """State that is saved and restored. Restoring has two phases, so that all components switch or none does."""

    def checkpoint_parts(self, base: Manifest | None) -> Iterable[Part]:
        """Everything, or what changed since `base`. Components too small to care give everything every time."""

    def restore_parts(self, layers: Sequence[ComponentLayer]) -> None:
        """Load the state beside the live one. `layers` starts with the full checkpoint; the last one is the newest.

        Raises RestoreRefused when the state makes no sense; an older checkpoint is then tried.
        """

    def activate_restored(self) -> None:
        """Switch to what `restore_parts` has loaded, in one step that can be repeated."""

    def discard_restored(self) -> None:
        """Forget what `restore_parts` has loaded, also when it failed half-way."""
