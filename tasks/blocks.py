"""Sealing slots into blocks."""

from __future__ import annotations

from config.app import app
from config.queues import SEAL
from tasks.runtime import runtime


@app.task(name=SEAL)
def seal() -> int | None:
    """Seal the open slot; its number, or None when it is too early or another sealer was first."""
    here = runtime()
    # Beat's own jitter must not skip every second slot: accept a slot that is nearly over.
    sealed = here.sealer.seal(interval=0.8 * here.settings.slot_interval)
    if sealed is None:
        return None
    here.sealer.prune()
    return sealed.slot
