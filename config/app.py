"""The bare Celery app: enough to publish tasks by name, with no task code behind it.

Workers use `workers.app`, which is this app with the tasks and boot steps added.
"""

from __future__ import annotations

from typing import Any

from celery import Celery

from config import kombu_redis as transport
from config import serialization
from config.celery_settings import celery_settings
from config.control import Control
from config.settings import get_settings


def _settings() -> dict[str, Any]:
    return celery_settings(get_settings())


serialization.install()
transport.install()
app = Celery("trunkline", control=Control)
# A callable is read when the app is first used, not when this module is imported: by then the command line has
# said which instance is meant.
app.add_defaults(_settings)
