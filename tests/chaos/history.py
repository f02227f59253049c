"""What was done and what was answered: JSON lines, with the time of the machine's monotonic clock (seconds)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class History:
    """Appends to one file; threads may share it. A row is on disk when `note` returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)
        self._lock = threading.Lock()

    def note(self, kind: str, **fields: Any) -> None:
        """Append one row; `t1` is now unless given."""
        row = {"kind": kind, "t1": round(time.monotonic(), 4), **fields}
        with self._lock:
            self._file.write(json.dumps(row, separators=(",", ":")) + "\n")

    def close(self) -> None:
        with self._lock:
            self._file.close()


def read_histories(paths: Iterable[Path]) -> list[Row]:
    """The rows of all files in the order of their ends. A torn last line (its writer was killed) is left out."""
    rows: list[Row] = []
    for path in paths:
        for line in path.read_text().splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return sorted(rows, key=lambda row: float(row["t1"]))
