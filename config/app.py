"""The bare Celery app: enough to publish tasks by name, with no task code behind it.

Workers use `workers.app`, which is this app with the tasks and boot steps added.
"""

from __future__ import annotations

from typing import Any

from celery import Celery

from config import kombu_amqp, kombu_redis, serialization
from config.celery_settings import celery_settings
from config.control import Control
from config.reconnecting import AMQP
from config.settings import get_settings


def _settings() -> dict[str, Any]:
    # The app is about to be used: kombu is extended now, and not in a process that only imports this module.
    serialization.install()
    kombu_redis.install()
    kombu_amqp.install()
    return celery_settings(get_settings())


# Not Celery's current app by being imported: a producer may have an app of its own, which must stay that.
app = Celery("trunkline", amqp=AMQP, control=Control, set_as_current=False)
# A callable is read when the app is first used, not when this module is imported: by then the command line has
# said which instance is meant.
app.add_defaults(_settings)
