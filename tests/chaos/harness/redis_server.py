"""The Redis server of a storm: killed, emptied, rolled back and started again under the same address."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import redis

from tests.support.ports import free_port
from workers.supervisor.redis_binary import redis_binaries


class RedisServer:
    """A server with its append-only file in `folder`; `fsync` is Redis' appendfsync."""

    def __init__(self, folder: Path, fsync: str) -> None:
        self.folder = folder
        self.fsync = fsync
        self.port = free_port()
        self.extra: dict[str, str] = {}
        self._binary = redis_binaries()[0].path
        self._process: subprocess.Popen[bytes] | None = None
        self.client = redis.Redis(port=self.port, socket_timeout=5, socket_connect_timeout=5)

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def start(self) -> None:
        """Start, and return once it answers with its data loaded."""
        if self.pid:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        options = {
            "port": self.port, "bind": "127.0.0.1", "dir": self.folder, "appendonly": "yes", "save": "",
            "appendfsync": self.fsync, "maxmemory-policy": "noeviction", "logfile": self.folder.parent / "redis.log",
        }  # fmt: skip
        arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        self._process = subprocess.Popen(
            [self._binary, *arguments],
            env=self.extra or None,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.wait_ready()

    def wait_ready(self, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            with suppress(redis.RedisError):
                if self.client.ping():
                    return
            if time.monotonic() > deadline:
                raise TimeoutError(f"Redis does not answer; see {self.folder.parent / 'redis.log'}")
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None and self.pid:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """In order, everything on disk."""
        if self._process is not None and self.pid:
            self.signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(20)

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.pid:
            self._process.send_signal(number)

    def appended(self) -> Path:
        """The file that commands are appended to just now."""
        files = [path for path in self.folder.rglob("*") if path.is_file() and ".aof" in path.name]
        return max((path for path in files if not path.name.endswith((".manifest", ".rdb"))), key=lambda p: p.name)

    def copy_to(self, folder: Path) -> None:
        """A copy of its files as they are now; commands that are half written are cut off when it is opened."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder)

    def replace_by(self, folder: Path | None) -> None:
        """Kill it, give it other files (None: none at all), and start it."""
        self.kill()
        shutil.rmtree(self.folder)
        if folder is not None:
            shutil.copytree(folder, self.folder)
        self.start()
