"""`ledger`: many ledgers on one Redis and in one archive."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import click

from banking.admin.fork import fork_ledger
from banking.admin.ledger_export import export_ledger, import_ledger
from banking.blocks.store import BlockStore, ledger_folder
from banking.errors import LedgerMissing, LedgerRestoring
from banking.from_settings import open_blocks, open_recovery, read_blocks
from banking.ledger.connections import ledger_client
from banking.ledger.directory import drop_ledger, served_ledgers
from banking.ledger.ledger import Ledger
from banking.restore.checkpointing import checkpoint_store
from config.settings import get_settings
from recovery.archive.names import unfold_segment
from recovery.errors import ConfigurationError
from workers.cli.connection import open_registry
from workers.cli.errors import CommandFailed
from workers.cli.root import trunkline
from workers.cli.sandbox import require_sandbox

_JSON = click.option("--json", "as_json", is_flag=True, help="For scripts.")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def _check_name(_context: click.Context, _option: click.Parameter, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise click.BadParameter("a ledger's name has 1 to 64 letters, digits, - and _.")
    return name


@trunkline.group()
def ledger() -> None:
    """List, fork, export, import and drop ledgers."""


@ledger.command("list")
@_JSON
def list_all(as_json: bool) -> None:
    """List the ledgers in Redis and in the archive."""
    settings = get_settings()
    client = ledger_client(settings)
    served = set(served_ledgers(client))
    try:
        archived = {unfold_segment(name) for name in read_blocks(settings).archive.folders("ledgers")}
    except ConfigurationError as error:
        # A machine without the archive still sees what Redis serves.
        click.echo(str(error), err=True)
        rows = [_row(Ledger(client, name), None) for name in sorted(served)]
    else:
        rows = [_row(Ledger(client, name), read_blocks(settings, ledger=name)) for name in sorted(served | archived)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        where = f"epoch {row['epoch']}, slot {row['slot']}" if row["epoch"] else row["state"]
        kept = "" if row["archived"] is None else f" archived up to slot {row['archived']}"
        click.echo(f"{row['name']:<20} {where:<24}{kept}")


def _row(ledger: Ledger, blocks: BlockStore | None) -> dict[str, Any]:
    row: dict[str, Any] = {"name": ledger.name, "archived": None, "epoch": None, "slot": None, "checkpoints": None}
    if blocks is not None:
        row |= {"archived": blocks.newest(), "checkpoints": len(checkpoint_store(blocks).ids())}
    try:
        state = ledger.state()
    except LedgerMissing:
        return row | {"state": "not in Redis"}
    except LedgerRestoring:
        return row | {"state": "being restored"}
    return row | {"state": "served", "epoch": state.epoch, "slot": state.slot, "ledger_id": state.ledger_id}


@ledger.command()
@click.argument("name", callback=_check_name)
@click.argument("new", callback=_check_name)
@click.option("--at", metavar="SLOT", type=click.IntRange(0), help="The state at the end of this slot [newest].")
@_JSON
def fork(name: str, new: str, at: int | None, as_json: bool) -> None:
    """Make ledger NEW with all accounts that NAME has.

    It has a life of its own: another id, slots from 0, new blockhashes. Serve it with TRUNKLINE_LEDGER=NEW. Not in
    profile prod.
    """
    require_sandbox(get_settings(), "a fork")
    settings = get_settings()
    _refuse_existing(new)
    began = time.monotonic()
    made = fork_ledger(open_blocks(settings, ledger=name), open_blocks(settings, ledger=new), at=at)
    ledger_recovery = open_recovery(settings, ledger=new)
    ledger_recovery.serve_new()
    slot, seconds = ledger_recovery.ledger.state().slot, round(time.monotonic() - began, 3)
    facts = {"name": new, "ledger_id": made, "from": name, "slot": slot, "seconds": seconds}
    message = f"Ledger {new!r} made from {name!r} (id {made}) in {seconds:.2f} s."
    click.echo(json.dumps(facts, indent=2) if as_json else message)


@ledger.command("export")
@click.argument("name", callback=_check_name)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_JSON
def export_file(name: str, file: Path, as_json: bool) -> None:
    """Write the archived blocks and checkpoints of NAME into FILE (tar); what is not final is not in it."""
    try:
        with file.open("xb") as stream:
            count = export_ledger(read_blocks(get_settings(), ledger=name), stream)
    except FileExistsError:
        raise CommandFailed(f"{file} exists; nothing was written.") from None
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    facts = {"name": name, "file": str(file), "objects": count, "bytes": file.stat().st_size}
    click.echo(json.dumps(facts, indent=2) if as_json else f"{count} objects, {facts['bytes']:,} bytes in {file}.")


@ledger.command("import")
@click.argument("file", type=click.File("rb"))
@click.argument("name", callback=_check_name)
@click.option("--max-bytes", type=click.IntRange(1), default=2**36, show_default=True, help="Refuse more than this.")
@_JSON
def import_file(file: Any, name: str, max_bytes: int, as_json: bool) -> None:
    """Take an export in as ledger NAME, once all of it has been verified.

    Its signer must be this node's key or one of TRUNKLINE_TRUSTED_KEYS.
    """
    settings = get_settings()
    _refuse_existing(name)
    count = import_ledger(open_blocks(settings, ledger=name), file, most_bytes=max_bytes)
    ledger_recovery = open_recovery(settings, ledger=name)
    ledger_recovery.serve_new()
    facts = {"name": name, "objects": count, "slot": ledger_recovery.ledger.state().slot}
    click.echo(json.dumps(facts, indent=2) if as_json else f"Ledger {name!r} taken in: {count} objects.")


@ledger.command()
@click.argument("name", callback=_check_name)
@click.option("--archive", is_flag=True, help="Also delete its blocks and checkpoints: then it is gone for good.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_JSON
def drop(name: str, archive: bool, yes: bool, as_json: bool) -> None:
    """Delete ledger NAME from Redis; from its archive a worker would restore it."""
    settings = get_settings()
    target = Ledger(ledger_client(settings), name)
    if target.call(open_registry(target).consuming):
        raise CommandFailed(f"Workers serve {name!r}; stop them first.")
    if not yes:
        what = "and its archive, for good" if archive else "(its archive stays)"
        click.confirm(f"Delete ledger {name!r} from Redis {what}?", abort=True)
    objects = 0
    if archive:
        blocks = open_blocks(settings, ledger=name)
        for found in sorted(blocks.archive.list(ledger_folder(name)), reverse=True):
            blocks.archive.delete(found)
            objects += 1
    keys = drop_ledger(target)
    facts = {"name": name, "keys": keys, "objects": objects}
    message = f"Dropped {name!r}: {keys} keys of Redis, {objects} objects of the archive."
    click.echo(json.dumps(facts, indent=2) if as_json else message)


def _refuse_existing(name: str) -> None:
    if Ledger(ledger_client(get_settings()), name).exists():
        raise CommandFailed(f"There is a ledger named {name!r} in Redis already; choose another name.")
