"""Flower started by the plain Celery command, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support.cli.program import environment
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.waiting import wait_until

#: Seconds that Flower may take to end.
END = 5.0


class PlainFlower:
    """`celery -A workers.app flower`, with Flower's own `options`; `variables` are our settings."""

    def __init__(self, folder: Path, *options: str, app: str = "workers.app", **variables: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "plain-flower.log"
        command = ["-A", app, "flower", "--address=127.0.0.1", f"--port={port}", *options]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "celery", *command],
                env=environment(**variables),
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_listening(self) -> None:
        wait_until(lambda: "Visit me at" in self.log.read_text(), f"Flower listens\n{self.log}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Send a signal; returns the seconds until it had ended. Raises TimeoutExpired when that takes very long."""
        began = time.monotonic()
        self._process.send_signal(number)
        self._process.wait(3 * END)
        return time.monotonic() - began

    def kill(self) -> None:
        """Fine when it has ended."""
        self._process.kill()
        self._process.wait()
