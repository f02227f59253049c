"""The Celery app of the workers: `celery -A workers.app worker|beat|flower`."""

from __future__ import annotations

import tasks.blocks
import tasks.checkpoints
import tasks.health
import tasks.transactions  # noqa: F401 - importing registers the tasks
from config.app import app
from config.queues import TRANSACTIONS
from tasks.runtime import runtime
from workers import flower_process, startup
from workers.bootsteps.heartbeat import HeartbeatStep
from workers.bootsteps.queue_pause import queue_pause_step
from workers.bootsteps.restore import EnsureLedger
from workers.metrics import server as metrics_server

startup.install()
app.steps["consumer"].add(EnsureLedger)
app.steps["consumer"].add(queue_pause_step([TRANSACTIONS], lambda: runtime().may_process()))
app.steps["consumer"].add(HeartbeatStep)
flower_process.install()
metrics_server.install()

__all__ = ["app"]
