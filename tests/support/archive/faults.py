"""Faults of the file system: `faults.c`, loaded before libc by LD_PRELOAD."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.paths import SUPPORT

COMPILER = shutil.which("gcc") or shutil.which("cc")


def build_shim(folder: Path) -> Path:
    """The library, built in `folder`. Needs a `COMPILER`."""
    assert COMPILER is not None
    library = folder / "faults.so"
    source = SUPPORT / "archive" / "faults.c"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library
