"""Trunkline's part in a Flower process, the same for `trunkline up` and the plain `celery -A workers.app flower`.

Flower knows no plug-ins, but it tells its app once when it starts, before it reads its options. Then those that nobody
chose get our defaults, and the end of the process is bounded.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

import click
from celery.signals import import_modules

from banking.execution.places import failed_in
from config.queues import PROCESS, PROCESS_BATCH
from config.settings import get_settings

BATCHES = (PROCESS, PROCESS_BATCH)
#: Seconds from SIGTERM or Ctrl-C to the end of the process at the latest.
PATIENCE = 2.0


def readable(task: Any) -> Any:
    """A copy of a task for Flower's tables: what it came to, or why it failed, in the column of results."""
    outcome = task.exception if task.state == "FAILURE" else task.result
    task.result = outcome.strip("'\"") if isinstance(outcome, str) else outcome
    if task.state == "SUCCESS" and task.name in BATCHES and (failed := failed_in(str(outcome))):
        # The batch is done with, which is what Celery's SUCCESS means; its transactions did not all succeed.
        task.state = f"{failed} FAILED ON CHAIN"
    return task


#: Flower's options where ours differ from its own.
DEFAULTS: dict[str, Any] = {
    # Flower has no login of its own unless told, so nobody beyond this machine may reach it.
    "address": "127.0.0.1",
    # A worker that was killed or scaled away leaves the list after this many seconds.
    "purge_offline_workers": 60,
    # Tasks kept for display; a batch is one task, so this is over a million transactions.
    "max_tasks": 20_000,
    "natural_time": True,
    "tasks_columns": "name,args,state,result,received,runtime,worker,uuid",
    "format_task": readable,
}


def install() -> None:
    """To be called when the app is made: does nothing unless this process becomes Flower."""
    import_modules.connect(_on_import_modules, weak=False, dispatch_uid="trunkline-flower")


def _on_import_modules(**_: Any) -> None:
    # Sent in workers and in beat, too.
    context = click.get_current_context(silent=True)
    if context is None or context.info_name != "flower":
        return
    from tornado.ioloop import IOLoop
    from tornado.options import options

    from workers.flower_tab.extension import install_tab

    apply_defaults(options)
    install_tab(get_settings())
    # Later, because Flower has not set its own handlers of signals yet.
    IOLoop.current().add_callback(_bound_the_end)


def apply_defaults(options: Any) -> None:
    """Set what neither the command line, nor the environment, nor a `flowerconfig.py` has set."""
    for name, value in DEFAULTS.items():
        option = options._options[name.replace("_", "-")]
        if option.value() == option.default:
            option.set(value)


def _bound_the_end() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _Ending(signal.getsignal(number)))


class _Ending:
    """A handler that does what Flower's does, and ends the process if that takes too long.

    Flower leaves its event loop; the interpreter then waits for the threads of its executor, and each of those may be
    in the middle of a question to a broker that hangs. Nobody waits for their answers.
    """

    def __init__(self, flowers: Any) -> None:
        self._flowers = flowers

    def __call__(self, number: int, frame: FrameType | None) -> None:
        last = threading.Timer(PATIENCE, os._exit, [0])
        last.daemon = True
        last.start()
        self._flowers(number, frame)
