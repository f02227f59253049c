"""Real processes that start quickly: forked from a server that has already imported everything."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.support.archive.scenario"])
_SECONDS = 60


def exit_code(target: Callable[..., None], *arguments: Any) -> int:
    """Run `target` in a process of its own; its exit code, negative for a signal."""
    process = CONTEXT.Process(target=target, args=arguments)
    process.start()
    process.join(_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"{target.__name__}{arguments} took longer than {_SECONDS} s")
    return process.exitcode
