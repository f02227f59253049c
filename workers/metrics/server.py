"""`/metrics` over HTTP: what the processes of an instance counted, and, where asked for, what the ledger shows."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from typing import Any

from celery.signals import worker_ready, worker_shutdown
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from config.errors import ConfigurationError
from config.settings import Settings, get_settings
from workers.metrics.collector import LedgerCollector
from workers.overview.broker_depth import BrokerDepth
from workers.overview.gathering import Gatherer
from workers.overview.model import Overview


def add_counts(registry: Any, folder: Path | None) -> None:
    """Have `registry` show what the processes that share `folder` counted; without one, nothing."""
    if folder is not None and folder.is_dir():
        add: Any = MultiProcessCollector
        add(registry, path=str(folder))


class MetricsServer:
    """An HTTP server in a thread. `settings.metrics` says where; `folder` holds the counts."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._gatherer = Gatherer(settings, broker=BrokerDepth(settings))
        self._lock = threading.Lock()
        self.registry = CollectorRegistry()
        self.registry.register(LedgerCollector(self._gather))
        add_counts(self.registry, folder)
        self._server: Any = None

    def start(self) -> int:
        """Listen; returns the port. Raises ConfigurationError when it is taken."""
        metrics = self._settings.metrics
        try:
            self._server, _ = start_http_server(metrics.port, addr=metrics.host, registry=self.registry)
        except OSError as error:
            raise ConfigurationError(
                f"Metrics cannot be served on {metrics.host}:{metrics.port} (TRUNKLINE_METRICS_PORT): {error.strerror}."
            ) from error
        return int(self._server.server_port)

    def stop(self) -> None:
        """Listen no more. Fine when it never did."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _gather(self) -> Overview:
        # One at a time, whoever else scrapes: a gatherer is not for several threads.
        with self._lock:
            return self._gatherer.gather()


def install() -> None:
    """To be called when the app is made: a worker that was started alone, with a port, serves its own counts."""
    worker_ready.connect(_serve, weak=False, dispatch_uid="trunkline-metrics")


def prepare_folder() -> None:
    """Make the folder of the counts of a worker that was started alone, before its pool is forked."""
    settings = get_settings()
    if settings.metrics.port and settings.metrics.folder is None:
        os.environ["TRUNKLINE_METRICS_FOLDER"] = tempfile.mkdtemp(prefix="trunkline-metrics-")
        get_settings.cache_clear()


def _serve(**_: Any) -> None:
    settings = get_settings()
    if not settings.metrics.port or settings.metrics.folder is None:
        return
    server = MetricsServer(settings, settings.metrics.folder)
    server.start()
    worker_shutdown.connect(lambda **_: server.stop(), weak=False, dispatch_uid="trunkline-metrics")
