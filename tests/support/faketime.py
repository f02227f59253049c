"""Processes whose clock is wrong, by libfaketime (Debian: `faketime`)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PLACES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")


def library() -> Path:
    """The library to preload. Without it a laptop skips, and CI fails."""
    for pattern in PLACES:
        for found in sorted(Path("/").glob(pattern.lstrip("/"))):
            return found
    if os.environ.get("CI"):
        pytest.fail("libfaketime is missing: apt-get install faketime")
    pytest.skip("libfaketime is missing (Debian: apt-get install faketime)")


#: libfaketime 0.9.10 shifts the absolute monotonic deadline with which Python sleeps, so sleep by a span.
_SLEEP_BY_SPAN = """
import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds) and None
"""


class WrongClock:
    """A wall clock that is off by `seconds`, which may change while the process runs; durations stay true."""

    def __init__(self, folder: Path, seconds: float = 0.0) -> None:
        self._file = folder / "faketime"
        self._library = library()
        self._site = folder / "site"
        self._site.mkdir()
        (self._site / "sitecustomize.py").write_text(_SLEEP_BY_SPAN)
        self.set(seconds)

    def set(self, seconds: float) -> None:
        """From now on the process's clock is off by `seconds`."""
        # In place at once: the process may read at any moment.
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{seconds:+f}\n")
        draft.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """What the process needs in its environment."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": str(self._site),
        }
