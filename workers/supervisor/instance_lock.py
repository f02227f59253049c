"""One instance per data folder: an flock that a killed launcher cannot leave behind."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import psutil

from config.errors import TrunklineError

#: Seconds to wait for the guard of a killed launcher to end that launcher's children.
SUCCESSION_WAIT = 8.0
#: Seconds that a holder which has just been killed may still look alive.
DYING_WAIT = 0.5


class InstanceRunning(TrunklineError):
    """Another instance runs on this data folder."""

    def __init__(self, folder: Path, pid: int | None) -> None:
        who = f" (pid {pid})" if pid else ""
        super().__init__(f"Another instance{who} runs in {folder}. Stop it, or choose another folder with --data DIR.")


class InstanceLock:
    """Holds `folder/lock` from `acquire` to `release`; the file names the holder's process id."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lock"
        self._descriptor = -1

    @property
    def held(self) -> bool:
        return self._descriptor >= 0

    def fileno(self) -> int:
        return self._descriptor

    def acquire(self) -> None:
        """Take the lock. Raises InstanceRunning while another instance has it.

        When the process named in the file is dead, its guard is still at work: that is waited for.
        """
        requested_at = time.monotonic()
        while not self._try():
            pid = self._holder()
            patience = DYING_WAIT if pid is not None and _runs(pid) else SUCCESSION_WAIT
            if time.monotonic() - requested_at > patience:
                raise InstanceRunning(self.path.parent, pid)
            time.sleep(0.05)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Remove the file while it is still ours, then let go. Harmless without the lock."""
        if self.held:
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def _try(self) -> bool:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = self._is_current(descriptor)
        except BlockingIOError:
            mine = False
        if mine:
            self._descriptor = descriptor
        else:
            os.close(descriptor)
        return mine

    def _is_current(self, descriptor: int) -> bool:
        """False when the former holder has removed the file since: a lock that no other process would see."""
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except FileNotFoundError:
            return False

    def _holder(self) -> int | None:
        try:
            return int(self.path.read_text())
        except (FileNotFoundError, ValueError):
            return None


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
