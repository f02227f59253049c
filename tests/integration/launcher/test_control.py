"""Control commands of many threads at once."""

from __future__ import annotations

import threading

import pytest
from celery import Celery

from config.celery_settings import celery_settings
from config.control import Control
from config.settings import Settings

pytestmark = pytest.mark.real_redis


def test_more_threads_than_the_pool_has_connections_do_not_wait_for_each_other(redis_url: str) -> None:
    """As Flower's do: with Celery's own `control` all of them hang for good."""
    settings = celery_settings(Settings.from_variables(redis_url=redis_url))
    callers = 3 * settings["broker_pool_limit"]
    meeting = threading.Barrier(callers)
    answers: list[object] = []
    with Celery("many", control=Control, set_as_current=False) as app:
        app.conf.update(settings)

        def ask() -> None:
            meeting.wait()
            answers.append(app.control.ping(timeout=0.2))

        threads = [threading.Thread(target=ask, daemon=True) for _ in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert answers == [[]] * callers
