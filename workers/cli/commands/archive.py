"""`archive`: is everything in it good, and did what it says happen?"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import click

import oracle
from banking.blocks.store import BlockStore, ledger_folder
from banking.errors import BadBlock
from banking.from_settings import read_blocks, read_recovery
from banking.restore.ledger_recovery import LedgerRecovery
from config.settings import get_settings
from oracle import BadArchive, OracleError, Report
from recovery.archive import MAX_OBJECT_BYTES, NotFound
from workers.cli.errors import CommandFailed
from workers.cli.root import trunkline


@trunkline.group()
def archive() -> None:
    """Look after the archive."""


@archive.command()
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def verify(as_json: bool) -> None:
    """Read and check every block and checkpoint of the ledger; exit code 1 when something is bad."""
    facts = gather(read_recovery(get_settings()))
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        click.echo(f"Blocks       {facts['blocks']:,} from slot {facts['first_slot']} to {facts['last_slot']}")
        click.echo(f"Checkpoints  {facts['checkpoints']}")
        for problem in facts["problems"]:
            click.echo(f"BAD          {problem}")
    if facts["problems"]:
        raise CommandFailed("")


@archive.command()
@click.option("--from", "first", metavar="SLOT", type=click.IntRange(0), default=0, help="The first slot to run [0].")
@click.option("--to", "last", metavar="SLOT", type=click.IntRange(0), help="The last slot [the newest].")
@click.option("--check", is_flag=True, help="Execute every transaction again and compare everything with the archive.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def replay(first: int, last: int | None, check: bool, as_json: bool) -> None:
    """Replay the blocks in a second implementation; exit code 1 when it gets anything else than they say.

    Without --check only the chain, the signatures and the totals are checked. See docs/oracle.md.
    """
    report = replay_archive(read_blocks(get_settings()), first=first, last=last, check=check)
    if as_json:
        click.echo(json.dumps(asdict(report) | {"ok": report.ok}, indent=2))
    else:
        click.echo("\n".join(report.lines()))
    if not report.ok:
        raise CommandFailed("")


def replay_archive(blocks: BlockStore, *, first: int = 0, last: int | None = None, check: bool = True) -> Report:
    """What the oracle says of some blocks. Raises CommandFailed when it cannot read them, ArchiveReadError."""
    trusted = {blocks.identity.public_key, *blocks.trusted_keys}
    try:
        return oracle.replay(
            LedgerObjects(blocks), trusted, first=first, last=last, execute=check, progress=_show_progress
        )
    except OracleError as error:
        raise CommandFailed(f"The archive cannot be replayed: {error}.") from error


def _show_progress(slot: int, last: int) -> None:
    """Show progress on a terminal, not to a script that reads standard error."""
    if sys.stderr.isatty() and (slot % 100 == 0 or slot == last):
        click.echo(f"\rslot {slot:,} of {last:,}", nl=slot == last, err=True)


@dataclass(frozen=True)
class LedgerObjects:
    """The objects of one ledger, as the oracle asks for them: bytes by name, nothing else."""

    blocks: BlockStore

    def names(self, folder: str) -> Iterator[str]:
        """Names below `folder`, ascending."""
        own = f"{ledger_folder(self.blocks.ledger)}/"
        return (name.removeprefix(own) for name in self.blocks.archive.list(own + folder))

    def get(self, name: str) -> bytes:
        """The bytes of an object. Raises BadArchive when it is not there, ArchiveReadError."""
        try:
            return self.blocks.archive.get(f"{ledger_folder(self.blocks.ledger)}/{name}", MAX_OBJECT_BYTES)
        except NotFound:
            raise BadArchive(f"{name} is missing") from None


def gather(ledger_recovery: LedgerRecovery) -> dict[str, Any]:
    """What there is, and what is wrong with it. Raises ArchiveReadError."""
    problems: list[str] = []
    slots = list(ledger_recovery.blocks.slots())
    good = _walk(ledger_recovery.blocks, slots, problems)
    ids = ledger_recovery.store.ids()
    for checkpoint_id in ids:
        report = ledger_recovery.store.verify(checkpoint_id)
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
