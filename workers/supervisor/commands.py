"""The command lines of an instance's processes, and the environment they run in."""

from __future__ import annotations

import os
import sys
from enum import Enum
from pathlib import Path

from config import queues
from config.settings import Settings

APP = "workers.app"
#: Where our packages lie. Celery and `python -m` import from the working folder first, and a user's own folder may
#: well hold a package named `config` or `tasks`.
HOME = Path(__file__).resolve().parents[2]


def transaction_worker(number: int, app: str = APP, *, watched: bool = False) -> list[str]:
    """With `watched` it sends task events from its first task on, not only once a Flower has asked for them."""
    return _worker(app, queues.TRANSACTIONS, f"tx{number}@%h", watched=watched)


def maintenance_worker(app: str = APP, *, watched: bool = False) -> list[str]:
    # Sealing and sweeping are short and must not wait for a checkpoint, hence two processes.
    return [*_worker(app, queues.MAINTENANCE, "maintenance@%h", watched=watched), "--concurrency", "2"]


def joined_worker(name: str) -> list[str]:
    return _worker(APP, queues.TRANSACTIONS, f"{name}@%h", watched=False)


def joined_maintenance(name: str) -> list[str]:
    return [*_worker(APP, queues.MAINTENANCE, f"{name}@%h", watched=False), "--concurrency", "2"]


def beat(app: str = APP) -> list[str]:
    return [*_celery(app), "beat", "--loglevel", "INFO"]


def flower(port: int, app: str = APP) -> list[str]:
    """Flower on loopback. Every five seconds it asks all workers for their task events."""
    return [sys.executable, "-m", "celery", "--app", app, "flower", "--address=127.0.0.1", f"--port={port}"]


def rpc() -> list[str]:
    """The Solana RPC server; `rpc_ports` says where."""
    return [sys.executable, "-m", "rpc"]


def rpc_ports(http: int) -> dict[str, str]:
    """The environment for an RPC server on `http`. web3.js looks for the websocket on the next port."""
    return {"TRUNKLINE_RPC_PORT": str(http), "TRUNKLINE_RPC_WS_PORT": str(http + 1)}


def child_environment(settings: Settings, redis_url: str) -> dict[str, str]:
    """This process's environment with every setting that was given, and the ledger's and broker's addresses."""
    given = settings.given()
    given |= {"TRUNKLINE_DATA_DIR": settings.data_dir.resolve(), "TRUNKLINE_REDIS_URL": redis_url}
    values = {
        variable: str(value.value if isinstance(value, Enum) else value)
        for variable, value in given.items()
        if value is not None
    }
    # Celery's banners are for a terminal, and no lines of a log.
    return {**os.environ, **values, "PYTHONUNBUFFERED": "1", "CELERY_QUIET": "1"}


def _worker(app: str, queue: str, node: str, *, watched: bool) -> list[str]:
    # Gossip and mingle are talk between workers that nothing here listens to; heartbeats feed Flower.
    quiet = ["--without-gossip", "--without-mingle"]
    events = ["--task-events"] if watched else []
    return [*_celery(app), "worker", "--queues", queue, "--hostname", node, "--loglevel", "INFO", *quiet, *events]


def _celery(app: str) -> list[str]:
    return [sys.executable, "-m", "workers.celery_process", "--app", app]
