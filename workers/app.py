"""The Celery app of the workers: `celery -A workers.app worker|beat|flower`."""

from __future__ import annotations

import tasks.blocks
import tasks.transactions  # noqa: F401 - importing registers the tasks
from config.app import app
from workers.presence import PresenceStep

app.steps["consumer"].add(PresenceStep)

__all__ = ["app"]
