"""`status`: what an instance is doing."""

from __future__ import annotations

import json
import time
from typing import Any

import base58
import click

from banking.errors import LedgerRestoring
from banking.from_settings import letter_limits
from banking.ledger.observing import restore_progress, waiting
from banking.restore.consistency import is_unsealable
from config.addresses import masked
from config.errors import ConfigurationError
from config.instance import read_instance
from config.settings import get_settings
from workers.cli.connection import open_ledger, open_registry
from workers.cli.errors import CommandFailed
from workers.cli.readiness import Readiness
from workers.cli.root import trunkline

_POLL_SECONDS = 0.2
_UNSEALABLE = "; the closed slot is larger than a block: a worker restores the ledger, its transactions run again"
_FULL = ", FULL: nothing is accepted; `trunkline deadletter replay` or `drop` some"


@trunkline.command()
@click.option("--json", "as_json", is_flag=True, help="For scripts; URLs then carry their passwords.")
@click.option(
    "--wait",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    help="Wait until workers consume, at most this long; exit code 1 when they do not.",
)
def status(as_json: bool, wait: float | None) -> None:
    """Show the ledger's counters and the workers that consume."""
    if wait is not None:
        _wait(wait)
    try:
        facts = gather()
    except LedgerRestoring:
        _show_restore(as_json)
        return
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        _show(facts)


def gather() -> dict[str, Any]:
    """Everything that `status` tells, ready for JSON. Amounts are lamports, `slot_time` is Unix seconds.

    `last_block` is how many seconds ago the newest block was seen first (None: health is not evaluated), `clock_back`
    how many Redis' clock is behind the latest time that was seen on it.
    """
    settings = get_settings()
    ledger = open_ledger()
    state = ledger.state()
    held = waiting(ledger)
    live = ledger.call(open_registry(ledger).live)
    workers = [worker for worker in live if not worker.waits]
    # With servers of one's own there may be no instance on this machine, and so no Flower to name.
    note = read_instance(settings.data_dir) or {}
    return {
        "ledger": ledger.name,
        "ledger_id": state.ledger_id,
        "epoch": state.epoch,
        "slot": state.slot,
        "slot_time": state.slot_time_ms / 1000,
        "blockhash": base58.b58encode(state.blockhash).decode(),
        "seq": state.seq,
        "accepted": state.accepted,
        "processed": state.processed,
        "failed": state.failed,
        "backlog": held.backlog,
        "parked": held.parked,
        "dead": held.dead,
        "dead_bytes": held.dead_bytes,
        "dead_full": letter_limits(settings).share(held.dead, held.dead_bytes) >= 1,
        "unsealed_bytes": state.slot_bytes + state.closing_bytes,
        "unsealable": is_unsealable(state),
        "burned": state.burned,
        "workers": [
            {"name": worker.name, "pid": worker.pid, "queues": list(worker.queues), "epoch": worker.epoch}
            for worker in workers
        ],
        "waiting": [{"name": worker.name, "why": worker.waits} for worker in live if worker.waits],
        "redis_url": settings.ledger_url(),
        "broker_url": settings.celery_url(),
        "flower_url": note.get("flower_url"),
        "rpc_url": note.get("rpc_url"),
        "finalized": state.finalized,
        "last_block": held.block_age,
        "clock_back": held.clock_back,
    }


def _show_restore(as_json: bool) -> None:
    """How far the restore is, as the holder of its lease reported last."""
    ledger = open_ledger()
    found = restore_progress(ledger)
    progress = {
        "ledger": ledger.name,
        "restoring": True,
        "phase": found.phase if found else None,
        "done": found.done if found else 0,
        "total": found.total if found else 0,
        "seconds_left": found.seconds_left if found else None,
    }
    if as_json:
        click.echo(json.dumps(progress, indent=2))
    elif found is None:
        click.echo(f"Ledger {ledger.name!r} waits to be restored; a worker begins within seconds.")
    else:
        click.echo(
            f"Ledger {ledger.name!r} is being restored: {progress['done']:,} of {progress['total']:,} "
            f"{progress['phase']}, about {progress['seconds_left']:.0f} s left."
        )


def _wait(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        missing = _missing()
        if not missing:
            return
        if time.monotonic() >= deadline:
            folder = get_settings().data_dir
            raise CommandFailed(
                f"Not ready within {seconds:g} s: {missing}. The logs of an instance are in {folder / 'log'}."
            )
        time.sleep(min(_POLL_SECONDS, max(0.0, deadline - time.monotonic())))


def _missing() -> str:
    """What is not there yet, '' when workers consume. The instance itself may still be starting."""
    settings = get_settings()
    try:
        readiness = Readiness(settings, settings.ledger_url())
    except ConfigurationError as error:
        return str(error).removesuffix(".")
    return "" if readiness.reached() else readiness.missing


def _show(facts: dict[str, Any]) -> None:
    rows = [
        ("Ledger", f"{facts['ledger']} (id {facts['ledger_id']}, epoch {facts['epoch']})"),
        ("Slot", f"{facts['slot']}, final up to {facts['finalized']}  blockhash {facts['blockhash']}"),
        ("Newest block", "not known" if facts["last_block"] is None else f"{facts['last_block']:.1f} s ago"),
        ("Unsealed", f"{facts['unsealed_bytes']:,} bytes{_UNSEALABLE if facts['unsealable'] else ''}"),
        ("Processed", f"{facts['processed']:,}"),
        ("Failed", f"{facts['failed']:,}"),
        ("Backlog", f"{facts['backlog']:,}, {facts['parked']:,} of them parked"),
        ("Dead letters", f"{facts['dead']:,}{_FULL if facts['dead_full'] else ''}"),
        ("Redis", masked(facts["redis_url"])),
        ("Broker", masked(facts["broker_url"])),
        ("Flower", facts["flower_url"] or "not started here"),
        ("RPC", facts["rpc_url"] or "not started here"),
    ]
    for name, value in rows:
        click.echo(f"{name:<13} {value}")
    if facts["clock_back"]:
        click.echo(
            f"{'Clock':<13} Redis' clock went back: {facts['clock_back']:,.0f} s behind the latest time seen on it. "
            "Nothing waits for it; check the server's time synchronisation."
        )
    for worker in facts["waiting"]:
        click.echo(f"{'Waiting':<13} {worker['name']}: {worker['why']}")
    if not facts["workers"]:
        click.echo("No worker consumes. Start them with `trunkline up`, or see their logs.")
    for worker in facts["workers"]:
        queues = ", ".join(worker["queues"])
        click.echo(f"{'Worker':<13} {worker['name']}  pid {worker['pid']}  epoch {worker['epoch']}  {queues}")
