"""`slot`: the open slot, and time travel."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from banking.admin.warp import warp as warp_ledger
from banking.blocks.sealer import Sealer
from banking.from_settings import open_blocks
from config.settings import get_settings
from workers.cli.connection import open_ledger
from workers.cli.root import trunkline
from workers.cli.sandbox import require_sandbox


@trunkline.group()
def slot() -> None:
    """Move the ledger to a later slot."""


@slot.command()
@click.argument("target", metavar="SLOT", type=click.IntRange(1))
@click.option("--by", "relative", is_flag=True, help="SLOT is how many slots to go on from the open one.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def warp(target: int, relative: bool, as_json: bool) -> None:
    """Make SLOT the open slot; those before it are closed, empty, at once."""
    settings = get_settings()
    require_sandbox(settings, "time travel")
    ledger = open_ledger()
    slot = ledger.state().slot + target if relative else target
    done = warp_ledger(ledger, Sealer(ledger, open_blocks(settings)), slot)
    message = f"From slot {done.before} to slot {done.slot} in {done.seconds:.2f} s."
    click.echo(json.dumps(asdict(done), indent=2) if as_json else message)
