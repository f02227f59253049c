"""Waiting for conditions in tests with real processes."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil


def wait_until(condition: Callable[[], object], what: str, timeout: float = 60.0, interval: float = 0.05) -> None:
    """Return once `condition()` is true; fail, saying what was awaited, after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(interval)


def gone(pid: int) -> bool:
    """True when the process has ended. A zombie has: whoever should reap it is another matter."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
