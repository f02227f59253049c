"""Named points at which a test kills the process, as a power cut would.

`TRUNKLINE_CRASH_POINTS` lists them, separated by commas: `name` dies at the first pass, `name:3` at the third, and
`name@FILE` only in the first process that gets there (the one that creates FILE), so that a restarted one passes.
After Bogdanp/dramatiq's and dbos-transact-py's debug triggers; a real SIGKILL, so that no handler tidies up.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from recovery.errors import ConfigurationError

VARIABLE = "TRUNKLINE_CRASH_POINTS"


@dataclass(frozen=True)
class _Trigger:
    on_pass: int
    flag: Path | None


_armed: dict[str, _Trigger] | None = None
_passes: Counter[str] = Counter()
_lock = threading.Lock()


def reach(name: str) -> None:
    """Die here if the environment says so; costs one dictionary look-up otherwise."""
    armed = _armed if _armed is not None else arm(os.environ.get(VARIABLE, ""))
    trigger = armed.get(name)
    if trigger is None:
        return
    with _lock:
        _passes[name] += 1
        is_due = _passes[name] == trigger.on_pass
    if is_due and _is_first_process(trigger.flag):
        os.kill(os.getpid(), signal.SIGKILL)


def armed() -> bool:
    """Whether any point is armed: lets a hot path skip building names."""
    return bool(_armed if _armed is not None else arm(os.environ.get(VARIABLE, "")))


def arm(text: str) -> dict[str, _Trigger]:
    """Replace the armed points by those of `text`, and forget the passes. Raises ConfigurationError."""
    global _armed
    _armed = dict(_parse(entry.strip()) for entry in text.split(",") if entry.strip())
    _passes.clear()
    return _armed


def _parse(entry: str) -> tuple[str, _Trigger]:
    point, _, flag = entry.partition("@")
    name, _, number = point.partition(":")
    on_pass = int(number) if number.isdecimal() else 1 if not number else 0
    if not name or on_pass < 1:
        raise ConfigurationError(f"{VARIABLE}: {entry!r} is not NAME, NAME:PASS or NAME@FILE")
    return name, _Trigger(on_pass, Path(flag) if flag else None)


def _is_first_process(flag: Path | None) -> bool:
    if flag is None:
        return True
    with suppress(FileExistsError):
        flag.touch(mode=0o600, exist_ok=False)
        return True
    return False
