"""The note that a running instance leaves in its data folder, so that commands and workers find it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from config.errors import ConfigurationError

FILE_NAME = "instance.json"


def read_instance(data_dir: Path) -> dict[str, Any] | None:
    """The running instance's note (`redis_url`, `broker_url`, `flower_url`, `pid`), or None without one.

    Raises ConfigurationError when the file is there but is no such note.
    """
    path = data_dir / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        note = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{path} is not readable ({error}); stop the instance and delete it.") from None
    if not isinstance(note, dict) or "redis_url" not in note or "broker_url" not in note:
        raise ConfigurationError(f"{path} lacks redis_url or broker_url; stop the instance and delete it.")
    return note


def write_instance(data_dir: Path, note: dict[str, Any]) -> None:
    """Write the note so that readers see all of it or none; only its owner may read it (it holds a password)."""
    path = data_dir / FILE_NAME
    temporary = path.with_suffix(f".tmp{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(note, stream, indent=2)
    temporary.replace(path)


def remove_instance(data_dir: Path) -> None:
    """Remove the note; fine when there is none."""
    (data_dir / FILE_NAME).unlink(missing_ok=True)
