"""Trunkline's part in a Flower process, however that is started: it ends when it is told to.

Flower answers a signal by leaving its event loop; the interpreter then waits for the threads of its executor, and
each of those may be in the middle of a question to a broker that is away or hangs. Nobody waits for their answers.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

import click
from celery.signals import import_modules

#: Seconds from the signal to the end at the latest.
PATIENCE = 2.0


def install() -> None:
    """To be called when the app is made: does nothing unless this process becomes Flower."""
    import_modules.connect(_on_import_modules)


def _on_import_modules(**_: Any) -> None:
    # Sent in workers and in beat, too. Flower sends it before it sets its own handler of signals.
    context = click.get_current_context(silent=True)
    if context is None or context.info_name != "flower":
        return
    from tornado.ioloop import IOLoop

    IOLoop.current().add_callback(_bound_the_end)


def _bound_the_end() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _Ending(signal.getsignal(number)))


class _Ending:
    """A handler that does what Flower's does, and ends the process if that takes too long."""

    def __init__(self, flowers: Any) -> None:
        self._flowers = flowers

    def __call__(self, number: int, frame: FrameType | None) -> None:
        last = threading.Timer(PATIENCE, os._exit, [0])
        last.daemon = True
        last.start()
        self._flowers(number, frame)
