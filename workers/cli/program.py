"""The entry point of `trunkline`: imports every module of `workers.cli.commands`, which registers its command."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from workers.cli import commands
from workers.cli.root import trunkline as main

for _module in iter_modules(commands.__path__):
    import_module(f"{commands.__name__}.{_module.name}")

__all__ = ["main"]

if __name__ == "__main__":
    main()
