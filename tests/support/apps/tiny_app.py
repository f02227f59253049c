"""A Celery app with the project's settings and trivial tasks, for tests of how processes are run."""

from __future__ import annotations

import time
from typing import Any

from celery import Celery

from banking.ledger.connections import ledger_client
from config import queues
from config.celery_settings import celery_settings
from config.control import Control
from config.settings import get_settings

app = Celery("tiny", control=Control)


def _settings() -> dict[str, Any]:
    return celery_settings(get_settings())


app.add_defaults(_settings)


def _count(name: str) -> None:
    with ledger_client(get_settings()) as client:
        client.incr(f"tiny:{name}")


@app.task(name=queues.PROCESS)
def process(seconds: float) -> None:
    time.sleep(seconds)
    _count("processed")


@app.task(name=queues.SEAL)
def seal() -> None:
    _count("sealed")


@app.task(name=queues.SWEEP)
def sweep() -> None:
    _count("swept")
