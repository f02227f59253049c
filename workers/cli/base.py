"""What every command shares: `--data` anywhere, and errors as one line of text."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from config.settings import get_settings, override_environment, require_known_variables
from workers.cli.errors import ending_of, leave_quietly

F = TypeVar("F", bound=Callable[..., Any])


def _use_folder(_context: click.Context, _option: click.Parameter, folder: Path | None) -> None:
    # Given to a command and to its group: the command's is parsed later and wins.
    if folder is not None:
        override_environment(data_dir=folder)


def data_option() -> click.Option:
    """The `--data` option. It works through the environment, so that started processes see it, too."""
    return click.Option(
        ["--data"],
        metavar="DIR",
        type=click.Path(file_okay=False, path_type=Path),
        help="Data folder of the instance (TRUNKLINE_DATA_DIR; default .trunkline).",
        expose_value=False,
        is_eager=True,
        callback=_use_folder,
    )


class Command(click.Command):
    """A command that takes `--data`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.params.append(data_option())

    #: Whether it logs as a lasting process does, and not for the terminal that it was typed in.
    server = False

    def invoke(self, ctx: click.Context) -> Any:
        # Standard output is the command's answer, which scripts read; what is logged goes elsewhere.
        from config.logs import configure_command

        configure_command(get_settings(), ctx.command_path, server=self.server)
        return super().invoke(ctx)


class StartingCommand(Command):
    """One that starts something; it refuses to with a setting misspelt, for that would start something else."""

    server = True

    def invoke(self, ctx: click.Context) -> Any:
        require_known_variables()
        return super().invoke(ctx)


class Group(click.Group):
    """A group of such commands."""

    command_class = Command

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.params.append(data_option())


Group.group_class = Group


class Program(Group):
    """The outermost group: says errors in words and ends the process with the right code."""

    group_class = Group

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002 - click's signature
        **extra: Any,
    ) -> Any:
        """Run the command line and exit, whatever `standalone_mode` says."""
        try:
            answer = self._answer(args, prog_name, complete_var, extra)
            # Output that cannot be written shows here, while it can still be told.
            sys.stdout.flush()
        except BrokenPipeError:
            leave_quietly()
            sys.exit(1)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last resort: nothing is swallowed
            ending = ending_of(error)
            if ending.message:
                click.echo(ending.message, err=True)
            sys.exit(ending.code)
        # `--help` and Context.exit() come back as their exit code.
        sys.exit(answer if isinstance(answer, int) else 0)

    def _answer(self, args: Sequence[str] | None, name: str | None, variable: str | None, extra: dict[str, Any]) -> Any:
        try:
            return super().main(args, name, variable, standalone_mode=False, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            # A call without a command is a first look, no mistake: exit code 0, on standard output.
            click.echo(error.format_message())
            return 0
