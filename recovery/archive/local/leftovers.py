"""Temporary files: how they are named, and how those of killed writers are cleaned away."""

from __future__ import annotations

import logging
import os
import re
import secrets
from contextlib import suppress

import psutil

from recovery.clock import Clock

_NAME = re.compile(r"([0-9]{1,10})-[0-9a-f]{16}\.tmp")
logger = logging.getLogger(__name__)


def new_temporary_name() -> str:
    """A name that says which process writes the file."""
    return f"{os.getpid()}-{secrets.token_hex(8)}.tmp"


def clean(folder: int, clock: Clock, orphan_seconds: float, any_seconds: float) -> int:
    """Remove temporary files whose writer is gone and which are older than `orphan_seconds`; returns how many.

    Past `any_seconds` the owner no longer counts: process ids are reused, and mean nothing across containers. A
    writer that was only paused then fails at its next step, and nothing it had written was visible.
    """
    removed = 0
    now = clock.time()
    for name in os.listdir(folder):
        with suppress(FileNotFoundError):
            age = now - os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
            if age >= any_seconds or (age >= orphan_seconds and not _owner_lives(name)):
                os.unlink(name, dir_fd=folder)
                removed += 1
                fields = {"file": name, "age_seconds": round(age)}
                logger.warning("archive.leftover-removed: %(file)s, %(age_seconds)d s old", fields, extra=fields)
    return removed


def _owner_lives(name: str) -> bool:
    match = _NAME.fullmatch(name)
    return match is not None and psutil.pid_exists(int(match[1]))
