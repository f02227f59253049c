"""A private Redis server: started, watched and stopped by the process that needs it."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import redis

from config.errors import TrunklineError
from config.sections import Fsync
from recovery.connections import connect
from workers.supervisor.guard import Guard
from workers.supervisor.ports import free_port
from workers.supervisor.redis_binary import redis_binaries
from workers.supervisor.redis_data import prepare

#: A Unix socket's path fits 104 bytes on macOS and 108 on Linux, with the closing zero.
MAX_SOCKET_PATH_BYTES = 100
LOG_TAIL_LINES = 12

logger = logging.getLogger(__name__)


class EmbeddedRedis:
    """One redis-server with its data in `folder`, reachable only by this user.

    It listens on a Unix socket, or with `tcp_port` (0 picks a free one) on loopback with a random password. `.url`
    stays the same over restarts. It ends when this process does, even by SIGKILL. `maxmemory` is in bytes; at the
    limit Redis refuses writes (`noeviction`): losing a key of a ledger silently is worse than an error.

    The folder is opened by the series of server that wrote it; `move` lets a newer one take it over, which is told to
    `notify` before it happens.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fsync: Fsync = Fsync.EVERYSEC,
        tcp_port: int | None = None,
        maxmemory: int | None = None,
        guard: Guard | None = None,
        log: Path | None = None,
        move: bool = False,
        notify: Callable[[str], None] = logger.warning,
    ) -> None:
        self.folder = folder.resolve()
        self.log = log or self.folder / "redis.log"
        self._fsync = fsync
        self._move = move
        self._notify = notify
        self._port = tcp_port
        self._maxmemory = maxmemory
        self._password = secrets.token_urlsafe(24) if tcp_port is not None else ""
        self._shared_guard = guard
        self._guard: Guard | None = guard
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: Path | None = None
        self._temporary: Path | None = None

    @property
    def url(self) -> str:
        """The URL for redis-py, password included. Raises TrunklineError before the first start."""
        if self._socket is not None:
            return f"unix://{quote(str(self._socket))}"
        if self._port:
            return f"redis://:{self._password}@127.0.0.1:{self._port}/0"
        raise TrunklineError("The embedded Redis has no address before it is started.")

    @property
    def pid(self) -> int | None:
        """The server's process id, None when it does not run."""
        return self._process.pid if self._process is not None and self.alive() else None

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, timeout: float = 60.0) -> None:
        """Start the server and return once it answers, its data loaded.

        Raises TrunklineError, with the end of its log, when it dies or is not ready within `timeout` seconds.
        """
        try:
            self.launch()
            self.wait_ready(timeout)
        except BaseException:
            self.stop()
            raise

    def launch(self) -> None:
        """Start the server without waiting for it."""
        if self.alive():
            raise TrunklineError(f"The embedded Redis in {self.folder} runs already (pid {self.pid}).")
        self.reap()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        binary = prepare(self.folder, redis_binaries(), move=self._move, notify=self._notify)
        if self._guard is None:
            self._guard = Guard()
        self._choose_address(self._guard)
        config = self.write_config()
        with self.log.open("ab") as output:
            self._process = self._guard.spawn([binary.path, str(config)], output=output)

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait until the server answers PING. Raises TrunklineError as `start` does."""
        deadline = time.monotonic() + timeout
        with connect(self.url, timeout=1.0) as client:
            while not _answers(client):
                if not self.alive():
                    raise TrunklineError(f"The embedded Redis ended at once. {self._log_tail()}")
                if time.monotonic() > deadline:
                    raise TrunklineError(f"The embedded Redis was not ready in {timeout:g} s. {self._log_tail()}")
                time.sleep(0.02)

    def stop(self, timeout: float = 10.0) -> None:
        """Ask the server to flush and end, kill it after `timeout` seconds; then remove socket and guard."""
        process = self._process
        if process is not None:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            self.reap()
        self._remove_socket()
        if self._guard is not None and self._shared_guard is None:
            self._guard.close()
            self._guard = None

    def kill(self) -> None:
        """SIGKILL the server, as a crash would; `launch` or `restart` brings it back with what was on disk."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        self.reap()

    def restart(self, timeout: float = 60.0) -> None:
        """Start again on the same address, stopping first when it still runs."""
        if self.alive():
            self.stop()
        self.start(timeout)

    def reap(self) -> None:
        """Forget a server that has ended, so that its process id is no longer guarded."""
        if self._process is not None and self._process.poll() is not None:
            if self._guard is not None:
                self._guard.release(self._process.pid)
            self._process = None

    def use_guard(self, guard: Guard) -> None:
        """Start under another guard from now on (its owner replaced a lost one)."""
        self._shared_guard = self._guard = guard

    def _choose_address(self, guard: Guard) -> None:
        if self._port is not None:
            self._port = self._port or free_port()
            return
        if self._socket is None or not self._socket.parent.is_dir():
            self._socket = self.folder / "redis.sock"
            if len(os.fsencode(self._socket)) > MAX_SOCKET_PATH_BYTES:
                self._temporary = Path(tempfile.mkdtemp(prefix="trunkline-", dir="/tmp"))
                self._socket = self._temporary / "redis.sock"
        guard.watch_path(self._socket)
        if self._temporary is not None:
            guard.watch_path(self._temporary)

    def _remove_socket(self) -> None:
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)
            if self._guard is not None:
                self._guard.release_path(self._socket)
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            if self._guard is not None:
                self._guard.release_path(self._temporary)

    def write_config(self) -> Path:
        """The configuration in a file of this user's alone: a password on the command line is everybody's."""
        options: list[tuple[str, str]] = [
            ("daemonize", "no"),
            ("dir", str(self.folder)),
            ("appendonly", "yes"),
            ("appendfsync", self._fsync.value),
            # A file torn by a crash loads up to its last whole command.
            ("aof-load-truncated", "yes"),
            # The append-only file is the only persistence; a snapshot beside it would only cost a fork.
            ("save", ""),
            ("maxmemory-policy", "noeviction"),
            ("loglevel", "notice"),
        ]
        if self._maxmemory is not None:
            options.append(("maxmemory", str(self._maxmemory)))
        if self._socket is not None:
            options += [("port", "0"), ("unixsocket", str(self._socket)), ("unixsocketperm", "700")]
        else:
            options += [("port", str(self._port)), ("bind", "127.0.0.1"), ("requirepass", self._password)]
        path = self.folder / "redis.conf"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            stream.writelines(f"{name} {_quoted(value)}\n" for name, value in options)
        return path

    def _log_tail(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        return f"The end of {self.log}:\n" + "\n".join(f"  {line}" for line in lines[-LOG_TAIL_LINES:])


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except (redis.BusyLoadingError, redis.ConnectionError, redis.TimeoutError):
        # Also a refused password: another server has the port, and ours is about to end with an error in its log.
        return False


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
