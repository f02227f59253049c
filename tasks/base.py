"""The base of the transaction tasks: what cannot run now goes back into intake instead of being lost."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from celery.exceptions import Reject

from banking.errors import LedgerUnavailable
from banking.processor import Processed
from banking.wire import WireTransaction
from recovery.celery_task import FaultTolerantTask
from recovery.retry import RetryPolicy
from tasks.runtime import runtime

logger = logging.getLogger(__name__)


class TransactionTask(FaultTolerantTask):
    """Runs a batch; parks it in intake when it must wait longer than a countdown should hold it."""

    abstract = True
    retry_policy = RetryPolicy.preset("network", deadline=None)
    component = "transactions"
    operation = "WRITE"

    def process_payload(self, payload: Sequence[object], *, enqueued_at: int, isolate: bool) -> dict[str, int]:
        """Decode and run; returns counts for the log and for Flower."""
        processor = runtime().processor
        done = Processed()
        wires = processor.decode(payload, done)
        self.request.update(wires=wires)
        if wires:
            redelivered = bool((self.request.delivery_info or {}).get("redelivered"))
            ran = processor.run(wires, enqueued_at=enqueued_at, isolate=isolate or redelivered)
            done.committed, done.duplicates, done.parked, done.buried = (
                ran.committed,
                ran.duplicates,
                ran.parked,
                ran.buried,
            )
        return {
            "committed": done.committed,
            "duplicates": done.duplicates,
            "parked": done.parked,
            "buried": done.buried,
            "malformed": done.malformed,
        }

    def park(self, delay: float, exc: Exception) -> None:
        """Put the batch back into intake; the sweeper brings it when its time has come."""
        wires: list[WireTransaction] = self._wires()
        try:
            runtime().processor.park(wires, delay)
        except LedgerUnavailable as error:
            logger.warning("Cannot park %d transactions (%s); the message goes back", len(wires), error)
            raise Reject(str(error), requeue=True) from exc

    def _wires(self) -> list[WireTransaction]:
        known: list[WireTransaction] | None = getattr(self.request, "wires", None)
        if known is not None:
            return known
        payload = (self.request.args or [[]])[0]
        return runtime().processor.decode([payload] if isinstance(payload, str) else payload, Processed())
