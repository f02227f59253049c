"""`trace`: the whole way of one transaction."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime

import click

from banking.from_settings import read_blocks
from config.settings import get_settings
from workers.cli.connection import open_ledger
from workers.cli.errors import CommandFailed
from workers.cli.root import trunkline
from workers.overview.trace import Step, Trace, Tracer


@trunkline.command()
@click.argument("signature")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.option(
    "--search",
    "seconds",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    help="Look through the archive's blocks, newest first, at most this many seconds.",
)
def trace(signature: str, as_json: bool, seconds: float) -> None:
    """Show the way of a transaction: accepted, message, worker, processed, block, finalized.

    Exit code 1 when nothing is known of it.
    """
    settings = get_settings()
    found = Tracer(open_ledger(), lambda: read_blocks(settings), search=seconds).trace(signature)
    click.echo(json.dumps(asdict(found), indent=2) if as_json else _text(found))
    if found.verdict == "unknown":
        raise CommandFailed("")


def _text(found: Trace) -> str:
    lines = [f"{found.signature}: {found.verdict}", *map(_line, found.steps)]
    return "\n".join([*lines, *(f"{'log':<11} {line}" for line in found.logs)])


def _line(step: Step) -> str:
    when = "" if step.at is None else datetime.fromtimestamp(step.at, UTC).strftime("  %Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
    return f"{step.name:<11} {step.state:<8} {step.text}{when}"
