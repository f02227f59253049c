"""Processes that are started again when they die, as systemd would, unless they are held down."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

#: Seconds between a death and the next start.
RESTART_DELAY = 0.3
_PATIENCE = 20.0


class Managed:
    """One process in a group of its own, with its output in `log`."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path) -> None:
        self.name = name
        self.command = list(command)
        self.environment = dict(environment)
        #: Variables for the next starts only: a wrong clock, an armed crash point.
        self.extra: dict[str, str] = {}
        self.held = False
        self.starts = 0
        self.log = log
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()

    @property
    def pid(self) -> int:
        """The process id; 0 while it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def start(self) -> None:
        """Start it, unless it runs."""
        with self._lock:
            if self.pid:
                return
            self.held = False
            self.starts += 1
            with self.log.open("ab") as output:
                self._process = subprocess.Popen(
                    self.command,
                    cwd=self._cwd,
                    env={**os.environ, **self.environment, **self.extra},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )

    def signal(self, number: signal.Signals) -> None:
        """To the process and all that it started."""
        with self._lock:
            if self.pid:
                with suppress(ProcessLookupError):
                    os.killpg(self.pid, number)

    def ask_to_end(self) -> None:
        """SIGTERM to the process alone, as an init system does."""
        with self._lock:
            if self.pid:
                os.kill(self.pid, signal.SIGTERM)

    def kill(self, *, hold: bool = False) -> None:
        """SIGKILL, as a power cut would; with `hold` it stays down until `start`."""
        with self._lock:
            self.held = hold
            process = self._process
            self.signal(signal.SIGKILL)
            if process is not None:
                process.wait()

    def end(self) -> None:
        """Ask it to end, kill it when it does not, and keep it down."""
        self.held = True
        self.signal(signal.SIGCONT)
        self.ask_to_end()
        process = self._process
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
        self.kill(hold=True)

    def children(self) -> list[psutil.Process]:
        """The processes that it started, the pool's among them."""
        with suppress(psutil.NoSuchProcess):
            if pid := self.pid:
                return psutil.Process(pid).children()
        return []

    def tail(self, lines: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


class Keeper:
    """Starts the dead again."""

    def __init__(self) -> None:
        self.processes: dict[str, Managed] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer, and end all processes."""
        self._stop.set()
        self._thread.join(10)
        for process in self.processes.values():
            process.signal(signal.SIGCONT)
        for process in self.processes.values():
            process.ask_to_end()
        deadline = time.monotonic() + 10
        for process in self.processes.values():
            while process.pid and time.monotonic() < deadline:
                time.sleep(0.05)
            process.kill(hold=True)

    def _watch(self) -> None:
        died: dict[str, float] = {}
        while not self._stop.wait(0.05):
            now = time.monotonic()
            for name, process in list(self.processes.items()):
                if process.pid or process.held or not process.starts:
                    died.pop(name, None)
                elif now - died.setdefault(name, now) >= RESTART_DELAY:
                    died.pop(name, None)
                    process.start()
