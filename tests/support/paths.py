"""Folders that tests read from."""

from __future__ import annotations

from pathlib import Path

#: The repository.
ROOT = Path(__file__).parents[2]
#: Files that tests read beside the helpers that use them.
SUPPORT = ROOT / "tests" / "support"
