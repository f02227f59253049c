"""Checkpoints by the clock, and their verification in the background."""

from __future__ import annotations

import logging
from typing import Any

from banking.ledger.maintenance import release_checkpoint_lease, take_checkpoint_lease
from banking.ledger.observing import read_notes, write_note
from config.app import app
from config.queues import CREATE_CHECKPOINT, SCRUB_CHECKPOINTS
from config.sections import CheckpointSettings
from recovery.checkpoints import Manifest
from recovery.clock import SYSTEM_CLOCK
from tasks.errors import LEDGER_AWAY
from tasks.runtime import Runtime, runtime

logger = logging.getLogger(__name__)

#: Seconds after which a checkpoint that was begun counts as given up.
_LEASE_SECONDS = 600
#: Checkpoints that are due by number alone come so far apart: as many times the seconds that the last one took.
_PAUSE_TIMES_COST = 20.0
#: Clean up after this many checkpoints: it reads back all that is kept.
_CLEAN_UP_EVERY = 5


@app.task(name=CREATE_CHECKPOINT, throws=LEDGER_AWAY)
def create(*, force: bool = False, full: bool = False) -> str | None:
    """Write a checkpoint if one is due (or `force`); its id. One at a time in the whole fleet."""
    parts = runtime()
    state = parts.ledger.state()
    newest = _newest(parts)
    if not force and not _is_due(parts, newest, state.finalized, state.finalized_seq):
        return None
    if not take_checkpoint_lease(parts.ledger, str(parts.pid), _LEASE_SECONDS):
        return None
    try:
        began = SYSTEM_CLOCK.monotonic()
        made = parts.ledger_recovery.create_checkpoint(full=full)
        _note_checkpoint(parts, made, SYSTEM_CLOCK.monotonic() - began)
        _clean_up(parts)
    finally:
        release_checkpoint_lease(parts.ledger)
    return made.id


def _note_checkpoint(parts: Runtime, made: Manifest, seconds: float) -> None:
    if parts.recorder is not None:
        parts.recorder.checkpoint(made.kind, seconds)
    facts: dict[str, str | int | float] = {"id": made.id, "kind": made.kind, "slot": made.facts["slot"]}
    write_note(parts.ledger, "checkpoint", {**facts, "bytes": made.stored_bytes, "seconds": round(seconds, 3)})


def _newest(parts: Runtime) -> Manifest | None:
    newest = next(reversed(parts.ledger_recovery.store.ids()), None)
    return parts.ledger_recovery.store.manifest(newest) if newest else None


def _is_due(parts: Runtime, newest: Manifest | None, slot: int, seq: int) -> bool:
    if newest is None:
        return True
    facts = newest.facts
    if int(facts["slot"]) >= slot:
        return False
    # In slots, the clock that all hosts share: their own may tell different times.
    age = (slot - int(facts["slot"])) * parts.settings.blocks.slot_interval
    took = float(read_notes(parts.ledger).get("checkpoint", {}).get("seconds", 0.0))
    return is_due(parts.settings.checkpoints, age=age, grown=seq - int(facts["seq"]), took=took)


def is_due(settings: CheckpointSettings, *, age: float, grown: int, took: float) -> bool:
    """Whether a checkpoint is due when the newest is `age` seconds old and `grown` transactions behind.

    One holds the outcomes of 300 slots, so under load it costs much, and 1,000 transactions are soon there: those that
    are due by number alone take a twentieth of the time at most. `took` is how many seconds the last one was written.
    """
    if age >= settings.interval:
        return True
    return grown >= settings.transactions and age >= _PAUSE_TIMES_COST * took


def _clean_up(parts: Runtime) -> None:
    settings, store = parts.settings, parts.ledger_recovery.store
    if len(store.ids()) < settings.checkpoints.kept + _CLEAN_UP_EVERY:
        return
    dropped = parts.ledger_recovery.clean_up(
        keep=settings.checkpoints.kept, history_slots=settings.blocks.history_slots
    )
    logger.info("Cleaned the archive up: %d blocks dropped", dropped)


@app.task(name=SCRUB_CHECKPOINTS, throws=LEDGER_AWAY)
def scrub() -> dict[str, Any]:
    """Read back and verify every checkpoint, and the chain of blocks behind the oldest good one; tell what is bad."""
    ledger_recovery = runtime().ledger_recovery
    bad: list[str] = []
    good: list[Manifest] = []
    for checkpoint_id in ledger_recovery.store.ids():
        report = ledger_recovery.store.verify(checkpoint_id)
        if report.ok and report.manifest is not None:
            good.append(report.manifest)
        else:
            bad.append(f"{checkpoint_id}: {report.explain()}")
    first = int(good[0].facts["slot"]) if good else 0
    blocks = sum(1 for _ in ledger_recovery.blocks.follow(first, None))
    for line in bad:
        logger.error("Scrub: bad checkpoint %s", line)
    write_note(runtime().ledger, "scrub", {"checkpoints": len(good), "bad": len(bad), "blocks": blocks})
    return {"checkpoints": len(good), "bad": bad, "blocks": blocks}
