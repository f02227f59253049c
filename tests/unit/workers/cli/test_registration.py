"""Every file of `workers/cli/commands` is one command of `trunkline`, and there is no other."""

from __future__ import annotations

from pkgutil import iter_modules

from workers.cli import commands
from workers.cli.program import main


def test_each_file_is_one_command() -> None:
    assert sorted(main.commands) == sorted(module.name for module in iter_modules(commands.__path__))
