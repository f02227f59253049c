"""`checkpoint`: make, list, show, verify and restore checkpoints."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from banking.from_settings import open_recovery, read_recovery
from config.settings import get_settings
from recovery.checkpoints import Manifest, UnknownCheckpoint
from workers.cli.errors import CommandFailed
from workers.cli.root import trunkline

_JSON = click.option("--json", "as_json", is_flag=True, help="For scripts.")


@trunkline.group()
def checkpoint() -> None:
    """Make, list, show, verify and restore checkpoints."""


@checkpoint.command()
@click.option("--full", is_flag=True, help="Write everything, not only what changed.")
@_JSON
def create(full: bool, as_json: bool) -> None:
    """Write a checkpoint of the newest archived block; nothing is paused."""
    made = open_recovery(get_settings()).create_checkpoint(full=full)
    _show(_facts(made), as_json)


@checkpoint.command("list")
@_JSON
def list_all(as_json: bool) -> None:
    """List checkpoints, oldest first; only their manifests are verified."""
    found = read_recovery(get_settings()).store.summaries()
    rows = [
        _facts(entry.manifest) if entry.manifest else {"id": entry.checkpoint_id, "problem": entry.problem}
        for entry in found
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo("There are no checkpoints yet.")
    for row in rows:
        click.echo(f"{row['id']}  {row['problem']}" if "problem" in row else _line(row))


@checkpoint.command()
@click.argument("checkpoint_id", metavar="ID")
@_JSON
def show(checkpoint_id: str, as_json: bool) -> None:
    """Show one checkpoint's manifest."""
    manifest = read_recovery(get_settings()).store.manifest(checkpoint_id)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(manifest), indent=2))
    else:
        _show(_facts(manifest), as_json=False)


@checkpoint.command()
@click.argument("checkpoint_id", metavar="ID", required=False)
@click.option("--all", "every", is_flag=True, help="Every checkpoint.")
@click.option("--set-aside", is_flag=True, help="Move bad ones into the archive's quarantine.")
@_JSON
def verify(checkpoint_id: str | None, every: bool, set_aside: bool, as_json: bool) -> None:
    """Read and check every byte of a checkpoint and its bases; exit code 1 when one is bad."""
    store = (open_recovery if set_aside else read_recovery)(get_settings()).store
    if (checkpoint_id is None) != every:
        raise click.UsageError("Give an ID or --all.")
    reports = [store.verify(name) for name in ([checkpoint_id] if checkpoint_id else store.ids())]
    rows = [
        {"id": report.checkpoint_id, "ok": report.ok, "problems": [p.message for p in report.problems]}
        for report in reports
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        for report in reports:
            click.echo(f"{'ok' if report.ok else 'BAD':<4} {report.checkpoint_id}  {report.explain()}")
    for report in reports:
        if set_aside and not report.ok and not report.unreadable:
            store.quarantine(report.checkpoint_id)
    if not all(report.ok for report in reports):
        raise CommandFailed("")


@checkpoint.command()
@click.argument("checkpoint_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
def restore(checkpoint_id: str, yes: bool) -> None:
    """Load a checkpoint and the blocks behind it into Redis, under a new epoch.

    The ledger comes out as it was at its newest block; transactions that were not final run again. Workers wait
    meanwhile.
    """
    ledger_recovery = open_recovery(get_settings())
    if not ledger_recovery.store.exists(checkpoint_id):
        raise UnknownCheckpoint(f"there is no checkpoint {checkpoint_id}")
    if not yes:
        click.confirm("The ledger is not served while it is loaded. Go on?", abort=True)
    ledger_recovery.restore_from(checkpoint_id)
    state = ledger_recovery.ledger.state()
    click.echo(f"Restored: epoch {state.epoch}, final up to slot {state.finalized}.")


def _facts(manifest: Manifest) -> dict[str, Any]:
    return {
        "id": manifest.id,
        "kind": manifest.kind,
        "slot": manifest.facts.get("slot"),
        "seq": manifest.facts.get("seq"),
        "created": datetime.fromtimestamp(manifest.created, UTC).isoformat(),
        "records": manifest.records,
        "stored_bytes": manifest.stored_bytes,
        "base": manifest.base.id if manifest.base else None,
        "signer": manifest.signer,
    }


def _line(row: dict[str, Any]) -> str:
    size = f"{row['records']:>9,} records {row['stored_bytes']:>12,} bytes"
    return f"{row['id']}  {row['kind']:<11} slot {row['slot']:<8} {size}  {row['created']}"


def _show(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        click.echo(f"{name:<13} {value}")
