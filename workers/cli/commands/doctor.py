"""`doctor`: what is wrong with this deployment, each finding with its fix."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

import click

from config.settings import get_settings
from workers.cli.errors import CommandFailed
from workers.cli.root import trunkline
from workers.overview.doctor import Finding, Level, examine


@trunkline.command()
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def doctor(as_json: bool) -> None:
    """Look for what is wrong with this deployment: settings, Redis, broker, disk, permissions, archive, keys.

    Exit code 1 when there is an error; warnings alone are 0. Changes nothing.
    """
    found = examine(get_settings(), os.environ)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        click.echo("\n".join(map(_text, found)))
    if any(finding.level is Level.ERROR for finding in found):
        raise CommandFailed("")


def _text(finding: Finding) -> str:
    mark = {Level.OK: "ok", Level.WARNING: "WARNING", Level.ERROR: "ERROR"}[finding.level]
    line = f"{mark:<8} {finding.subject:<10} {finding.what}"
    return f"{line}\n{'':<19} {finding.fix}" if finding.fix else line
