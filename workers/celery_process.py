"""`python -m workers.celery_process --app APP worker|beat ...`: Celery's own commands, and not the others beside them.

`celery` imports every command and plugin that is installed before it runs one, Flower with its web server among them:
0.36 s of CPU and 20 MB for each worker and for beat, of which an instance starts four at once on what may be two cores.
"""

from __future__ import annotations

import os

import click
from celery.app.utils import find_app
from celery.bin.base import CLIContext
from celery.bin.beat import beat
from celery.bin.worker import worker


@click.group()
@click.option("--app", required=True, help="Import path of the Celery app.")
@click.option("--quiet", is_flag=True, help="Show no banner (CELERY_QUIET).")
@click.pass_context
def celery(context: click.Context, app: str, quiet: bool) -> None:
    """Run a worker or beat."""
    context.obj = CLIContext(app=find_app(app), no_color="NO_COLOR" in os.environ, workdir=None, quiet=quiet)
    # Options that the app adds to Celery's own.
    for command in (worker, beat):
        command.params.extend(context.obj.app.user_options.get(command.name, []))


celery.add_command(worker)
celery.add_command(beat)


if __name__ == "__main__":
    celery(auto_envvar_prefix="CELERY")
