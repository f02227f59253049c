"""The guard: ends what a launcher started when the launcher itself is gone, however it died.

Run as a script with nothing but the standard library, so that it starts in a few milliseconds. Its standard input
is a pipe whose other end the launcher holds; one line is one note:

    +PID    PID leads a process group that must not outlive the launcher     -PID    it has ended
    >PATH   a file or empty folder to remove at the end                      <PATH   it has been removed

End of file means that every holder of the pipe is gone. A pipe was chosen over Linux's PR_SET_PDEATHSIG because
that signal fires when the *thread* that forked dies (a supervisor restarts children from a thread), reaches only
the child and not the child's own children (a Celery pool), needs code between fork and exec, and does not exist on
macOS.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable

#: Seconds between the polite signal and SIGKILL: Redis needs a moment to flush its append-only file.
GRACE = 3.0


def main() -> None:
    # Own session, and deaf to what ends the launcher: the guard must come last.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups, paths = _listen(sys.stdin.buffer)
    _end(groups)
    for path in sorted(paths, key=len, reverse=True):
        _remove(path)


def _listen(lines: Iterable[bytes]) -> tuple[set[int], set[str]]:
    groups: set[int] = set()
    paths: set[str] = set()
    for line in lines:
        sign, value = line[:1], os.fsdecode(line[1:].rstrip(b"\n"))
        if sign == b"+":
            groups.add(int(value))
        elif sign == b"-":
            groups.discard(int(value))
        elif sign == b">":
            paths.add(value)
        elif sign == b"<":
            paths.discard(value)
    return groups, paths


def _end(groups: set[int]) -> None:
    for number, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, 1.0)):
        groups = {group for group in groups if _signal(group, number)}
        deadline = time.monotonic() + patience
        while groups and time.monotonic() < deadline:
            time.sleep(0.02)
            groups = {group for group in groups if _signal(group, 0)}


def _signal(group: int, number: int) -> bool:
    """Signal a whole group; False when it has no process left."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so for a group of zombies
        return False
    return True


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):  # no process is left to be notified
        if os.path.isdir(path):  # noqa: PTH112 - pathlib would double the start-up time
            os.rmdir(path)  # noqa: PTH106
        else:
            os.unlink(path)  # noqa: PTH108


if __name__ == "__main__":
    main()
