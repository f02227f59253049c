"""The slot clock."""

from __future__ import annotations

from banking.slots import advance_slot
from config.app import app
from config.queues import SEAL
from tasks.runtime import runtime


@app.task(name=SEAL)
def seal() -> bool:
    """Close the open slot and rotate the blockhash; False when it is too early or another beat was first."""
    here = runtime()
    # Beat's own jitter must not skip every second slot: accept a slot that is nearly over.
    return advance_slot(here.ledger, interval=0.8 * here.settings.slot_interval)
