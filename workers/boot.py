"""Boot steps of the workers: no message is taken before the ledger is verified, and none while a gate is closed."""

from __future__ import annotations

import logging
from typing import Any

from celery import bootsteps
from celery.exceptions import WorkerShutdown
from celery.worker import state as worker_state

from banking.consistency import Finding
from banking.errors import BadBlock, LedgerUnavailable, RestoreFailed
from recovery.archive import ArchiveError
from recovery.checkpoints.errors import CheckpointError
from recovery.clock import SYSTEM_CLOCK
from tasks.runtime import runtime

logger = logging.getLogger(__name__)

#: Seconds between two attempts while nothing can be done.
_PAUSE = 2.0


class EnsureLedger(bootsteps.StartStopStep):
    """Compare the ledger with its archive and restore it if need be, at boot and after every reconnect (D8).

    It is a consumer step: Celery starts these anew on each connection, and takes messages only when all have started.
    (A signal would not do: exceptions in signals are swallowed.)
    """

    requires = ("celery.worker.consumer:Tasks",)

    def start(self, c: Any) -> None:  # noqa: ARG002
        """Return once the ledger may be served. A worker that is told to stop meanwhile stops."""
        while not self._is_sound():
            self._stop_if_told()
            SYSTEM_CLOCK.sleep(_PAUSE)

    def _is_sound(self) -> bool:
        try:
            runtime().keeper.ensure(self._keep_waiting)
        except (BadBlock, CheckpointError, RestoreFailed) as error:
            logger.error(  # noqa: TRY400 - the message is the answer; a traceback would hide it
                "This worker takes no transactions: the ledger cannot be restored (%s). Put the missing or damaged "
                "object back into the archive; `trunkline archive verify` names it. Trying again.",
                error,
            )
            return False
        except (LedgerUnavailable, ArchiveError) as error:
            logger.warning("Waiting for the ledger and its archive: %s", error)
            return False
        return True

    def _keep_waiting(self, finding: Finding) -> bool:  # noqa: ARG002 - told by the keeper
        self._stop_if_told()
        return True

    def _stop_if_told(self) -> None:
        if worker_state.should_stop is not None and worker_state.should_stop is not False:
            raise WorkerShutdown(worker_state.should_stop)
