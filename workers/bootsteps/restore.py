"""Boot steps of the workers: no message is taken before the ledger is verified, and none while a gate is closed."""

from __future__ import annotations

import logging
import os
from typing import Any

from celery import bootsteps
from celery.exceptions import WorkerShutdown
from celery.worker import state as worker_state

from banking.errors import BadBlock, LedgerUnavailable, RestoreFailed
from banking.from_settings import keeps_archive, trusted_keys
from banking.ledger.maintenance import server_run
from banking.ledger.worker_registry import INTERVAL
from banking.restore.attestation import standing
from banking.restore.consistency import ConsistencyReport
from config import queues
from recovery.archive import ArchiveError
from recovery.checkpoints.errors import CheckpointError
from recovery.clock import SYSTEM_CLOCK
from tasks.runtime import runtime
from workers.bootsteps.heartbeat import RegistryWriter

logger = logging.getLogger(__name__)

#: Seconds between two attempts while nothing can be done.
_PAUSE = 2.0


class EnsureLedger(bootsteps.StartStopStep):
    """Compare the ledger with its archive and restore it if need be, at boot and after every reconnect (D8).

    A host without the node's key cannot: it executes once a host that has it attests the ledger (see
    `banking.restore.attestation`), and seals nothing. A worker that waits says why, in its log and in the registry.

    It is a consumer step: Celery starts these anew on each connection, and takes messages only when all have started.
    (A signal would not do: exceptions in signals are swallowed.)
    """

    requires = ("celery.worker.consumer:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._registry = RegistryWriter()
        self._notified = ""
        self._notified_at = float("-inf")
        self._consumer: Any = None

    def start(self, c: Any) -> None:
        """Return once the ledger may be served. A worker that is told to stop meanwhile stops."""
        self._consumer = c
        keeps = keeps_archive(runtime().settings)
        if not keeps and queues.MAINTENANCE in c.app.amqp.queues.consume_from:
            logger.critical(_NO_KEY, runtime().settings.identity_path())
            raise WorkerShutdown(1)
        while problem := self._problem() if keeps else self._problem_without_archive():
            self._stop_if_notified()
            self._notify(problem)
            SYSTEM_CLOCK.sleep(_PAUSE)

    def _problem(self) -> str:
        """What keeps this host, which has the key, from serving the ledger; "" when nothing does."""
        parts = runtime()
        try:
            run = server_run(parts.ledger)
            parts.ledger_recovery.ensure_consistent(self._keep_waiting)
            parts.attester.attest(run)
        except (BadBlock, CheckpointError, RestoreFailed) as error:
            logger.error(  # noqa: TRY400 - the message is the answer; a traceback would hide it
                "This worker takes no transactions: the ledger cannot be restored (%s). Put the missing or damaged "
                "object back into the archive; `trunkline archive verify` names it. Trying again.",
                error,
            )
            return f"the ledger cannot be restored: {error}"
        except (LedgerUnavailable, ArchiveError) as error:
            logger.warning("Waiting for the ledger and its archive: %s", error)
            return f"waits for the ledger and its archive: {error}"
        return ""

    def _problem_without_archive(self) -> str:
        parts = runtime()
        trusted = trusted_keys(parts.settings)
        try:
            found = standing(parts.ledger, trusted)
        except LedgerUnavailable as error:
            found_problem = f"waits for the ledger: {error}"
        else:
            found_problem = found.problem
            if not found_problem:
                pin = "" if trusted else f"; set TRUNKLINE_TRUSTED_KEYS={found.signer} to believe no other"
                logger.info("Executing without the archive, by the attestation of %s%s", found.signer, pin)
        if found_problem and found_problem != self._notified:
            logger.warning("This worker takes no transactions yet: %s", found_problem)
        return found_problem

    def _keep_waiting(self, report: ConsistencyReport) -> bool:
        self._stop_if_notified()
        self._notify(report.detail)
        return True

    def _notify(self, problem: str) -> None:
        """Show in the registry why this worker waits, when it is new or a second has passed."""
        now = SYSTEM_CLOCK.monotonic()
        if problem == self._notified and now - self._notified_at < INTERVAL:
            return
        self._notified, self._notified_at = problem, now
        name = self._consumer.hostname
        self._registry.write(lambda registry: registry.report_waiting(name, os.getpid(), problem))

    def _stop_if_notified(self) -> None:
        if worker_state.should_stop is not None and worker_state.should_stop is not False:
            raise WorkerShutdown(worker_state.should_stop)


_NO_KEY = (
    "This worker was told to take maintenance, which seals blocks and restores the ledger, but there is no identity "
    "key in %s. Start it with `-Q transactions` (or by `trunkline join`) to execute only; or copy identity.json "
    "from the host that made the ledger and set TRUNKLINE_ARCHIVE_URL to its archive."
)
