"""TCP ports for servers that tests start, without races between test processes."""

from __future__ import annotations

import fcntl
import os
import random
import tempfile
from pathlib import Path
from typing import IO

from workers.supervisor.ports import is_free

#: Below the ports that systems give to outgoing connections (Linux: 32768 and up), so that none of those takes one.
_RANGE = range(20_000, 32_000, 2)
#: Held, and so locked, until this process ends.
_reserved: list[IO[bytes]] = []


def free_port() -> int:
    """A port that is free, as is its successor; no other process that asks here gets either of them."""
    folder = Path(tempfile.gettempdir()) / f"trunkline-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for port in random.sample(_RANGE, len(_RANGE)):
        lock = (folder / str(port)).open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        if is_free(port) and is_free(port + 1):
            _reserved.append(lock)
            return port
        lock.close()
    raise AssertionError("no port is free")
