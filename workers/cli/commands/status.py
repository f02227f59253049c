"""`status`: what an instance is doing."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import base58
import click

from config.addresses import masked
from config.errors import ConfigurationError
from config.instance import read_instance
from config.settings import get_settings
from workers.cli.arguments import DURATION
from workers.cli.connection import open_ledger
from workers.cli.errors import CommandFailed
from workers.cli.readiness import Readiness
from workers.cli.root import trunkline
from workers.overview.diagnosis import diagnose
from workers.overview.gathering import Gatherer
from workers.overview.model import Overview

_WATCH_SECONDS = 1.0
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
@click.option("--watch", is_flag=True, help="Go on showing it, every second, until Ctrl-C.")
@click.option("--for", "duration", type=DURATION, help="With --watch: stop after this long, such as 1m.")
def status(as_json: bool, wait: float | None, watch: bool, duration: float | None) -> None:
    """Show whether work goes on, the ledger's counters and the workers that consume."""
    if as_json and watch:
        raise click.UsageError("--json and --watch exclude each other.")
    if wait is not None:
        _wait(wait)
    if watch:
        _watch(duration)
        return
    overview = Gatherer(get_settings(), ledger=open_ledger()).read()
    if overview.restoring:
        _show_restore(overview, as_json)
        return
    facts = _facts(overview)
    click.echo(json.dumps(facts, indent=2) if as_json else "\n".join(_lines(facts)))


def _watch(duration: float | None) -> None:
    """The status, time and again: in place on a terminal, else one below the other."""
    gatherer = Gatherer(get_settings())
    end = None if duration is None else time.monotonic() + duration
    while end is None or time.monotonic() < end:
        overview = gatherer.gather()
        if sys.stdout.isatty():
            click.clear()
        diagnosis = diagnose(overview)
        if overview.state is None:
            click.echo("\n".join(filter(None, (f"{'Work':<13} {diagnosis.sentence}", diagnosis.fix))))
        else:
            click.echo("\n".join(_lines(_facts(overview))))
        time.sleep(_WATCH_SECONDS)


def _facts(overview: Overview) -> dict[str, Any]:
    """Everything that `status` tells, ready for JSON. Amounts are lamports, `slot_time` is Unix seconds.

    `last_block` is how many seconds ago the newest block was seen first (None: health is not evaluated), `clock_back`
    how many Redis' clock is behind the latest time that was seen on it.
    """
    settings = get_settings()
    state, held = overview.state, overview.waiting
    assert state is not None
    assert held is not None
    diagnosis = diagnose(overview)
    # With servers of one's own there may be no instance on this machine, and so no Flower to name.
    note = read_instance(settings.data_dir) or {}
    return {
        "work": diagnosis.sentence,
        "fix": diagnosis.fix,
        "ledger": overview.ledger,
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
        "dead_full": overview.letters_share >= 1,
        "unsealed_bytes": state.slot_bytes + state.closing_bytes,
        "unsealable": overview.unsealable,
        "burned": state.burned,
        "workers": [
            {"name": worker.name, "pid": worker.pid, "queues": list(worker.queues), "epoch": worker.epoch}
            for worker in overview.workers
            if not worker.waits
        ],
        "waiting": [{"name": worker.name, "why": worker.waits} for worker in overview.workers if worker.waits],
        "redis_url": settings.ledger_url(),
        "broker_url": settings.broker_url(),
        "flower_url": note.get("flower_url"),
        "rpc_url": note.get("rpc_url"),
        "finalized": state.finalized,
        "last_block": held.block_age,
        "clock_back": held.clock_back,
    }


def _show_restore(overview: Overview, as_json: bool) -> None:
    """How far the restore is, as the holder of its lease reported last."""
    found = overview.progress
    progress = {
        "ledger": overview.ledger,
        "restoring": True,
        "phase": found.phase if found else None,
        "done": found.done if found else 0,
        "total": found.total if found else 0,
        "seconds_left": found.seconds_left if found else None,
    }
    if as_json:
        click.echo(json.dumps(progress, indent=2))
    elif found is None:
        click.echo(f"Ledger {overview.ledger!r} waits to be restored; a worker begins within seconds.")
    else:
        click.echo(
            f"Ledger {overview.ledger!r} is being restored: {progress['done']:,} of {progress['total']:,} "
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


def _lines(facts: dict[str, Any]) -> list[str]:
    rows = [
        ("Work", facts["work"]),
        *([("", facts["fix"])] if facts["fix"] else []),
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
    if facts["clock_back"]:
        told = f"Redis' clock went back: {facts['clock_back']:,.0f} s behind the latest time seen on it. "
        rows.append(("Clock", f"{told}Nothing waits for it; check the server's time synchronisation."))
    rows += [("Waiting", f"{worker['name']}: {worker['why']}") for worker in facts["waiting"]]
    for worker in facts["workers"]:
        consumed = ", ".join(worker["queues"])
        rows.append(("Worker", f"{worker['name']}  pid {worker['pid']}  epoch {worker['epoch']}  {consumed}"))
    lines = [f"{name:<13} {value}" for name, value in rows]
    if not facts["workers"]:
        lines.append("No worker consumes. Start them with `trunkline up`, or see their logs.")
    return lines
