"""Sealing slots into blocks, and detecting when Redis and the archive disagree."""

from __future__ import annotations

import logging

from banking.errors import Diverged, LedgerMissing, LedgerRestoring
from banking.ledger.maintenance import note_archive_error, server_run
from config.app import app
from config.queues import SEAL
from recovery.archive import ArchiveUnavailable
from recovery.clock import SYSTEM_CLOCK
from tasks.errors import LEDGER_AWAY
from tasks.runtime import Runtime, runtime

logger = logging.getLogger(__name__)

#: Seconds for which a failed write marks the archive as not writable; each further failure renews it.
_ARCHIVE_ERROR_SECONDS = 5


@app.task(name=SEAL, throws=LEDGER_AWAY)
def seal() -> int | None:
    """Seal the open slot; its number, or None when it is too early, another sealer was first, or it was restored."""
    parts = runtime()
    try:
        return _seal(parts)
    except (Diverged, LedgerMissing, LedgerRestoring) as error:
        # This task runs all the time, so it is the first to see a ledger that was emptied or rolled back.
        logger.warning("Cannot seal: %s", error)
        parts.ledger_recovery.ensure_consistent(keep_waiting=lambda _: False)
        return None
    except ArchiveUnavailable:
        note_archive_error(parts.ledger, _ARCHIVE_ERROR_SECONDS)
        raise


def _seal(parts: Runtime) -> int | None:
    # Read before: a server that starts in between was not verified by this seal.
    run = server_run(parts.ledger) if parts.attester.due() else ""
    began = SYSTEM_CLOCK.monotonic()
    # Beat's own jitter must not skip every second slot: accept a slot that is nearly over.
    sealed = parts.sealer.seal(interval=0.8 * parts.settings.blocks.slot_interval)
    if sealed is None:
        return None
    logger.debug("Sealed slot %d", sealed.slot, extra={"slot": sealed.slot})
    if parts.recorder is not None:
        latency = parts.server_clock.age(sealed.closed_ms)
        parts.recorder.sealed(SYSTEM_CLOCK.monotonic() - began, latency)
    if run:
        parts.attester.attest(run)
    parts.sealer.prune()
    return sealed.slot
