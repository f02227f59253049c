"""Children that cannot outlive their launcher: see `guard_process` for how, and why not PR_SET_PDEATHSIG."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from config.errors import TrunklineError

_SCRIPT = Path(__file__).with_name("guard_process.py")
#: The shell reports its own pid to the guard and then *becomes* the command, so there is no moment at which the
#: command runs unguarded, and no Python code runs between fork and exec. A lost guard ends it before it starts.
_REPORT_AND_BECOME = 'echo "+$$" >&0 && exec "$@" </dev/null'


class Guard:
    """Starts children in sessions of their own and ends them when this process is gone.

    `hold` are open file descriptors (a lock) that the guard keeps open until everything has ended, so that a
    successor cannot start on the same data while a dead launcher's children still write to it.
    """

    def __init__(self, hold: Sequence[int] = ()) -> None:
        read_end, self._pipe = os.pipe()
        self._groups: set[int] = set()
        self._paths: set[Path] = set()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SCRIPT)],
                stdin=read_end,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=tuple(hold),
                cwd="/",
            )
        finally:
            os.close(read_end)

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def spawn(
        self,
        command: Sequence[str],
        *,
        output: IO[bytes] | int,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start `command` under guard as the leader of its own session, its output going to `output`.

        A terminal's Ctrl-C therefore reaches only the launcher. Call `release` once the child has been reaped.
        """
        process = subprocess.Popen(
            ["/bin/sh", "-c", _REPORT_AND_BECOME, "sh", *command],
            stdin=self._pipe,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=dict(environment) if environment is not None else None,
            cwd=cwd,
        )
        self._groups.add(process.pid)
        return process

    def replace(self, hold: Sequence[int] = ()) -> Guard:
        """A new guard for the same processes and paths, for when this one has been lost."""
        os.close(self._pipe)
        self._pipe = -1
        successor = Guard(hold)
        for pid in self._groups:
            successor._groups.add(pid)
            successor._note(f"+{pid}")
        for path in self._paths:
            successor.watch_path(path)
        return successor

    def release(self, pid: int) -> None:
        """`pid` and its group have ended: the number may soon be that of another process."""
        self._groups.discard(pid)
        self._note(f"-{pid}")

    def watch_path(self, path: Path) -> None:
        """Remove this file or empty folder should the launcher be killed."""
        self._paths.add(path)
        self._note(f">{path}")

    def release_path(self, path: Path) -> None:
        self._paths.discard(path)
        self._note(f"<{path}")

    def close(self) -> None:
        """End whatever is still guarded (SIGTERM, then SIGKILL) and the guard itself."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise TrunklineError(
                f"The guard (pid {self._process.pid}) did not end; check for left processes."
            ) from None

    def _note(self, line: str) -> None:
        if "\n" in line:
            raise TrunklineError(f"A path may not contain a line break: {line[1:]!r}")
        if self._pipe < 0:
            return
        with contextlib.suppress(BrokenPipeError):  # a lost guard has no use for notes; its owner replaces it
            os.write(self._pipe, os.fsencode(line + "\n"))
