"""The recovery manager: one coordinated checkpoint of every registered component, and the way back."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from recovery.archive import ArchiveReadError, ArchiveUnavailable
from recovery.checkpoints.components import Component, ComponentLayer
from recovery.checkpoints.errors import BadCheckpoint, NoUsableCheckpoint, RestoreRefused, UnknownCheckpoint
from recovery.checkpoints.manifest import Facts, Manifest
from recovery.checkpoints.parts import Part
from recovery.checkpoints.store import CheckpointStore, Layer, next_base
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.crash_points import reach

CRASH_POINTS = ("recovery.before-restore", "recovery.before-activate", "recovery.after-activate")
Kind = Literal["auto", "full"]
_COMPONENT_NAME = re.compile(r"[a-z0-9-]{1,32}")
logger = logging.getLogger(__name__)


class RecoveryState(StrEnum):
    """What the manager is doing."""

    IDLE = "idle"
    CHECKPOINTING = "checkpointing"
    RESTORING = "restoring"


@dataclass(frozen=True)
class RecoveryStatus:
    """A picture of the manager in this process. Sizes in bytes, times in seconds."""

    state: RecoveryState = RecoveryState.IDLE
    components: tuple[str, ...] = ()
    restoring: str | None = None
    done_bytes: int = 0
    total_bytes: int = 0
    seconds_left: float | None = None
    last_checkpoint: str | None = None
    last_restored: str | None = None
    bad: tuple[str, ...] = ()
    last_error: str | None = None


class RecoveryManager:
    """Makes and restores checkpoints of all registered components together. One operation at a time."""

    def __init__(self, store: CheckpointStore, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._components: dict[str, Component] = {}
        self._clock = clock
        self._status = RecoveryStatus()
        self._started = 0.0
        self.store = store

    def register_component(self, name: str, component: Component) -> None:
        """Take `component` into every later checkpoint. Names are lower-case words; raises ValueError for others,
        and for one that is taken. Components are restored and activated in the order of registration.
        """
        if not _COMPONENT_NAME.fullmatch(name) or name in self._components:
            raise ValueError(f"not a free component name: {name!r}")
        self._components[name] = component
        self._status = replace(self._status, components=tuple(self._components))

    def create_system_checkpoint(
        self,
        *,
        sequence: int,
        facts: Facts | Callable[[], Facts] = {},  # noqa: B006 - never changed
        kind: Kind = "auto",
    ) -> Manifest:
        """One checkpoint of all components; see `CheckpointStore.create` for what it raises.

        `auto` writes an incremental one where `next_base` finds a base that is not ahead of `sequence`.
        """
        with self._doing(RecoveryState.CHECKPOINTING):
            base = next_base(self.store) if kind == "auto" else None
            if base is not None and base.sequence > sequence:
                base = None
            made = self.store.create(
                sequence=sequence, parts=self._parts(base), facts=facts, base=base.id if base is not None else None
            )
            self._status = replace(self._status, last_checkpoint=made.id)
            return made

    def restore_system_checkpoint(self, checkpoint_id: str) -> Manifest:
        """Restore all components from one checkpoint, which is verified completely first.

        Raises UnknownCheckpoint, BadCheckpoint, RestoreRefused, ArchiveReadError; nothing has been switched then.
        """
        with self._doing(RecoveryState.RESTORING):
            self._expect(self.store.manifest(checkpoint_id), readings=2)
            report = self.store.verify(checkpoint_id, self._progress)
            if report.unreadable:
                raise ArchiveReadError(f"checkpoint {checkpoint_id}: {report.explain()}")
            if report.manifest is None or not report.ok:
                raise BadCheckpoint(f"checkpoint {checkpoint_id}: {report.explain()}")
            self._restore_reading(checkpoint_id)
            self._status = replace(self._status, last_restored=checkpoint_id)
            return report.manifest

    def auto_recover(self) -> Manifest | None:
        """Restore the newest checkpoint that verifies completely and that every component accepts.

        It is read once: every byte is verified while it is loaded, and nothing is activated before the last one was.
        None when there are no checkpoints at all. Bad ones are passed over, logged and never deleted. Raises
        NoUsableCheckpoint when all are bad, ArchiveUnavailable when that cannot be known now.
        """
        with self._doing(RecoveryState.RESTORING):
            refused: list[str] = []
            unreadable: list[str] = []

            for checkpoint_id in reversed(self.store.ids()):
                try:
                    restored = self._try_restore(checkpoint_id)
                except UnknownCheckpoint:  # deleted since the listing
                    continue
                except ArchiveReadError as error:
                    unreadable.append(_log_refused(checkpoint_id, error))
                except (BadCheckpoint, RestoreRefused) as error:
                    refused.append(_log_refused(checkpoint_id, error))
                else:
                    return restored
                finally:
                    self._status = replace(self._status, bad=tuple(refused + unreadable))
            self._status = replace(self._status, bad=tuple(refused + unreadable))
            _raise_unless_empty(refused, unreadable)
            return None

    def get_recovery_status(self) -> RecoveryStatus:
        """What this manager is doing and has done."""
        status = self._status
        if not status.done_bytes or status.state is not RecoveryState.RESTORING:
            return status
        elapsed = self._clock.monotonic() - self._started
        left = max(0, status.total_bytes - status.done_bytes) * elapsed / status.done_bytes
        return replace(status, seconds_left=left)

    def _try_restore(self, checkpoint_id: str) -> Manifest:
        manifest = self.store.manifest(checkpoint_id)
        self._expect(manifest, readings=1)
        self._restore_reading(checkpoint_id)
        self._status = replace(self._status, last_restored=checkpoint_id)
        fields = {"checkpoint": checkpoint_id, "sequence": manifest.sequence}
        logger.warning("recovery.restored: %(checkpoint)s, sequence %(sequence)d", fields, extra=fields)
        return manifest

    def _restore_reading(self, checkpoint_id: str) -> None:
        """Restore in one reading: every byte is checked before its component gets it, and all before any activates."""
        layers = self.store.layers(checkpoint_id, self._progress)
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

    def _parts(self, base: Manifest | None) -> Iterator[Part]:
        for name, component in self._components.items():
            for part in component.checkpoint_parts(base):
                yield replace(part, name=f"{name}/{part.name}")

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

    def _expect(self, manifest: Manifest, readings: int) -> None:
        layers = self.store.layers(manifest.id)
        total = readings * sum(layer.manifest.raw_bytes for layer in layers)
        self._started = self._clock.monotonic()
        self._status = replace(self._status, restoring=manifest.id, done_bytes=0, total_bytes=total)

    def _progress(self, raw_bytes: int) -> None:
        self._status = replace(self._status, done_bytes=self._status.done_bytes + raw_bytes)

    @contextmanager
    def _doing(self, state: RecoveryState) -> Iterator[None]:
        if self._status.state is not RecoveryState.IDLE:
            raise RuntimeError(f"the recovery manager is already {self._status.state}")
        self._status = replace(self._status, state=state, last_error=None)
        try:
            yield
        except BaseException as error:
            self._status = replace(self._status, last_error=str(error))
            raise
        finally:
            self._status = replace(self._status, state=RecoveryState.IDLE, restoring=None)


def _log_refused(checkpoint_id: str, error: Exception) -> str:
    fields = {"checkpoint": checkpoint_id, "error": str(error)}
    logger.error("recovery.checkpoint-refused: %(checkpoint)s: %(error)s", fields, extra=fields)
    return f"{checkpoint_id}: {error}"


def _raise_unless_empty(refused: Sequence[str], unreadable: Sequence[str]) -> None:
    if unreadable:
        raise ArchiveUnavailable(
            "no checkpoint could be verified, and some could not be read: " + "; ".join(unreadable)
        )
    if refused:
        raise NoUsableCheckpoint("none of the checkpoints can be used: " + "; ".join(refused))
