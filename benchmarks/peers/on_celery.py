"""Celery: late acknowledgements, redelivery of what a dead child had. `celery -A benchmarks.peers.on_celery worker`."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from celery import Celery

from benchmarks.peers import job

COMMAND = [sys.executable, "-m", "celery", "-A", "benchmarks.peers.on_celery", "worker", "-c", "2", "-l", "WARNING"]
COMMAND += ["--without-gossip", "--without-mingle"]
PROCESSES = 1

app = Celery("peer", broker=job.URL.replace("unix://", "redis+socket://", 1))
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, task_ignore_result=True)
incr = app.task(name="incr")(job.incr)
apply = app.task(name="apply")(job.apply)


def send(name: str, arguments: Iterable[tuple[str, ...]]) -> None:
    """Enqueue one job for each of `arguments`."""
    with app.connection_for_write() as connection:
        producer = app.amqp.Producer(connection)
        for args in arguments:
            app.send_task(name, args=args, producer=producer)
