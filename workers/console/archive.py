"""`archive`: is everything in it good?"""

from __future__ import annotations

import json
from typing import Any

import click

from banking.blockstore import BlockStore
from banking.errors import BadBlock
from banking.keeper import LedgerKeeper
from banking.opening import open_keeper
from config.settings import get_settings
from workers.console.base import Group
from workers.console.errors import CommandFailed


@click.group(cls=Group)
def archive() -> None:
    """Look after the archive."""


@archive.command()
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def verify(as_json: bool) -> None:
    """Read and check every block and checkpoint of the ledger; exit code 1 when something is bad."""
    facts = gather(open_keeper(get_settings()))
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        click.echo(f"Blocks       {facts['blocks']:,} from slot {facts['first_slot']} to {facts['last_slot']}")
        click.echo(f"Checkpoints  {facts['checkpoints']}")
        for problem in facts["problems"]:
            click.echo(f"BAD          {problem}")
    if facts["problems"]:
        raise CommandFailed("")


def gather(keeper: LedgerKeeper) -> dict[str, Any]:
    """What there is, and what is wrong with it. Raises ArchiveReadError."""
    problems: list[str] = []
    slots = list(keeper.blocks.slots())
    good = _walk(keeper.blocks, slots, problems)
    ids = keeper.store.ids()
    for checkpoint_id in ids:
        report = keeper.store.verify(checkpoint_id)
        if not report.ok:
            problems.append(f"checkpoint {checkpoint_id}: {report.explain()}")
    return {
        "ok": not problems,
        "blocks": good,
        "first_slot": slots[0] if slots else None,
        "last_slot": slots[-1] if slots else None,
        "checkpoints": len(ids),
        "problems": problems,
    }


def _walk(blocks: BlockStore, slots: list[int], problems: list[str]) -> int:
    """Count the good blocks; behind a bad one the chain is taken up again, so that every bad one is named."""
    good, first = 0, slots[0] if slots else None
    while first is not None:
        last = first - 1
        try:
            for block in blocks.follow(first, None):
                good, last = good + 1, block.header.slot
            return good
        except BadBlock as error:
            problems.append(str(error))
        first = next((slot for slot in slots if slot > last + 1), None)
    return good
