"""One supervised child process with its log file, its process group and its restarts."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workers.supervisor.guard import Guard

#: Bytes after which a log file is set aside (as `<name>.log.1`) when its process next starts.
MAX_LOG_BYTES = 16 * 2**20


@dataclass
class Backoff:
    """Seconds to wait before a restart: doubled after each short life, back to the start after a long one."""

    first: float = 0.5
    longest: float = 30.0
    long_life: float = 30.0
    _next: float = field(default=0.0, init=False)

    def after(self, lived: float) -> float:
        """The wait after a life of `lived` seconds."""
        self._next = self.first if lived >= self.long_life or not self._next else min(self._next * 2, self.longest)
        return self._next


class Child:
    """A command that is kept running. Not safe for threads; its supervisor holds a lock."""

    def __init__(
        self, name: str, command: Sequence[str], *, log_folder: Path, environment: Mapping[str, str], cwd: Path
    ) -> None:
        self.name = name
        self.log = log_folder / f"{name}.log"
        self._command = list(command)
        self._environment = dict(environment)
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._backoff = Backoff()
        self.restart_at = 0.0

    @property
    def pid(self) -> int | None:
        """Process id (and process group) of the running child, else None."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self, guard: Guard) -> None:
        set_aside(self.log)
        with self.log.open("ab") as output:
            self._process = guard.spawn(self._command, output=output, environment=self._environment, cwd=self._cwd)
        self._started = time.monotonic()

    def reap(self, guard: Guard) -> int | None:
        """If the child has ended: end its group, schedule the restart and return its exit code; else None.

        A killed Celery worker leaves its pool children behind; they would go on working without a supervisor.
        """
        if self._process is None or (code := self._process.poll()) is None:
            return None
        signal_group(self._process.pid, signal.SIGKILL)
        guard.release(self._process.pid)
        self._process = None
        now = time.monotonic()
        self.restart_at = now + self._backoff.after(now - self._started)
        return code

    def waits_for_restart(self) -> bool:
        return self._process is None

    def terminate(self) -> None:
        """Ask for a soft end: the main process only, so that a pool finishes what it runs."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL the whole group, pool children included."""
        if (pid := self.pid) is not None:
            signal_group(pid, signal.SIGKILL)


def stop_children(children: Sequence[Child], guard: Guard, *, patience: float, hurry: threading.Event) -> list[str]:
    """SIGTERM all, wait together for at most `patience` seconds or until `hurry`, then SIGKILL.

    Returns the names of those that had to be killed.
    """
    for child in children:
        child.terminate()
    deadline = time.monotonic() + patience
    while any(child.pid for child in children) and time.monotonic() < deadline and not hurry.is_set():
        time.sleep(0.02)
    killed = [child.name for child in children if child.pid]
    for child in children:
        child.kill()
    while any(child.pid for child in children):
        time.sleep(0.005)
    for child in children:
        child.reap(guard)
    return killed


def signal_group(group: int, number: int) -> None:
    """Signal a process group; does nothing when it has no process left."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        return


def set_aside(log: Path) -> None:
    """Rename a log file that has grown too long, replacing the one renamed before."""
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        log.replace(log.with_name(log.name + ".1"))
