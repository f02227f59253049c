"""Our packages before a user's own files of the same names.

`celery -A workers.app` and `python -m` import from the working folder first, and many a folder holds a `config.py`
or a `tasks.py`. In the processes that are ours (workers, beat, Flower, the command line) those names mean the
packages that lie beside this one. Nobody else's process is touched: `workers` is imported by ours alone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

ROOMS = ("config", "recovery", "banking", "tasks", "rpc", "oracle")
HOME = Path(__file__).resolve().parent.parent


class Beside:
    """A finder of our packages in `home`, asked before the search of `sys.path`."""

    def __init__(self, home: Path) -> None:
        self._home = str(home)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the import system's signature
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Where the package `fullname` is, None for what is not ours."""
        return PathFinder.find_spec(fullname, [self._home]) if fullname in ROOMS else None


def claim(home: Path = HOME) -> None:
    """Make our names mean the packages in `home`. Raises ImportError when one means something else already."""
    for name in ROOMS:
        loaded = sys.modules.get(name)
        if loaded is not None and not _lies_in(loaded, home):
            raise ImportError(
                f"The module {name!r} from {_origin(loaded)} was imported before Trunkline, which has a package of "
                "that name. Import `workers` first, or rename that module: a process has one module of a name.",
                name=name,
            )
    sys.meta_path.insert(0, Beside(home))


def _lies_in(module: ModuleType, home: Path) -> bool:
    return Path(_origin(module)).resolve().parent.parent == home


def _origin(module: ModuleType) -> str:
    return str(getattr(module, "__file__", None) or "an unknown place")
