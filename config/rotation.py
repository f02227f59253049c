"""A log file that many processes write to and that never outgrows its bound."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from pathlib import Path

#: Standard output and standard error.
_STANDARD = (1, 2)


class SharedLogFile(logging.Handler):
    """Appends a line a record to `path`; beyond `most_bytes` it becomes `<path>.1`, that `.2`, up to `kept` of them.

    Any number of processes may write to the same path, forked ones included: a line is one write in append mode, one
    of them renames while it holds a lock, and the others notice at their next line that the path is another file. (The
    bound holds up to a line a process: each looks before it writes.)
    Where standard output or error went to the file before, they follow as well. Raises OSError when the file cannot
    be opened.
    """

    def __init__(self, path: Path, *, most_bytes: int, kept: int) -> None:
        super().__init__()
        self.path = path.absolute()
        self._most_bytes = most_bytes
        self._kept = kept
        self._fd = -1
        self._pid = 0
        self._identity: tuple[int, int] | None = None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._open()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write(self.format(record).encode("utf-8", "backslashreplace") + b"\n")
        except Exception:  # noqa: BLE001 - logging's own way: a log line must not end what logs it
            self.handleError(record)

    def close(self) -> None:
        self.acquire()
        try:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
        finally:
            self.release()
        super().close()

    def _write(self, line: bytes) -> None:
        size = self._follow()
        if size and size + len(line) > self._most_bytes:
            self._rotate()
        while line:
            line = line[os.write(self._fd, line) :]

    def _follow(self) -> int:
        """Size of the file at the path in bytes, which is open afterwards."""
        try:
            found = os.stat(self.path)  # noqa: PTH116 - once a line
        except FileNotFoundError:
            self._open()
            return 0
        # A forked process needs an open file of its own: locks belong to open files, not to processes.
        if (found.st_dev, found.st_ino) != self._identity or os.getpid() != self._pid:
            self._open()
        return found.st_size

    def _rotate(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            if self._is_current():
                for number in range(self._kept - 1, 0, -1):
                    with contextlib.suppress(FileNotFoundError):
                        self._numbered(number).replace(self._numbered(number + 1))
                self.path.replace(self._numbered(1))
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        self._follow()

    def _is_current(self) -> bool:
        """Whether the path is still the file that is open here: nobody else has renamed it meanwhile."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == self._identity and found.st_size > 0

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _open(self) -> None:
        fresh = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        for standard in _STANDARD:
            if self._identity is not None and _identity(standard) == self._identity:
                os.dup2(fresh, standard)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._pid, self._identity = fresh, os.getpid(), _identity(fresh)


def _identity(descriptor: int) -> tuple[int, int] | None:
    """What tells one open file from another; None for a descriptor that is closed."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino
