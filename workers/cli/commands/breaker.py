"""`breaker`: see the circuit breakers that all workers share, and overrule them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import click

from banking.ledger.keys import key_prefix
from config.settings import get_settings
from recovery.breaker import BreakerStatus, CircuitBreaker, Override, list_breakers
from recovery.clock import SYSTEM_CLOCK
from recovery.connections import connect
from tasks.runtime import TRANSACTION_BREAKER, breaker_to_overrule
from workers.cli.arguments import DURATION
from workers.cli.errors import CommandFailed
from workers.cli.operator import current_operator
from workers.cli.root import trunkline

_WATCH_SECONDS = 0.2


@trunkline.group()
def breaker() -> None:
    """Circuit breakers: what is refused because a dependency fails."""


@breaker.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def list_all(as_json: bool) -> None:
    """Show every breaker's state."""
    statuses = _statuses()
    if as_json:
        click.echo(json.dumps([asdict(status) for status in statuses], indent=2))
        return
    for status in statuses:
        click.echo(_line(status))
    if not statuses:
        click.echo("No breaker has been used yet.")


@breaker.command()
@click.argument("name")
def show(name: str) -> None:
    """Show one breaker, as JSON."""
    click.echo(json.dumps(asdict(_status_of(name)), indent=2))


def _add_override(command: str, kind: Override, help: str) -> None:
    """Add the command that overrules a breaker by `kind`."""

    @breaker.command(name=command, help=help)
    @click.argument("name")
    @click.option(
        "--for", "duration", type=DURATION, help="End by itself after this time, such as 10m; else by `reset`."
    )
    @click.option("--reason", required=True, help="Why; `breaker list` shows it.")
    def override(name: str, duration: float | None, reason: str) -> None:
        _change(name, lambda target: target.override(kind, reason, duration=duration, by=current_operator()))


_add_override("open", Override.OPEN, "Refuse every call: transactions are parked, none is lost, no attempt is used up.")
_add_override("close", Override.CLOSED, "Let every call through, whatever happens.")
_add_override("disable", Override.DISABLED, "Shadow mode: count, and refuse nothing.")


@breaker.command()
@click.argument("name")
@click.option("--reason", default="reset", help="Why.")
def reset(name: str, reason: str) -> None:
    """Take overrides away and close it with all counts at 0."""
    _change(name, lambda target: target.reset(reason, by=current_operator()))


@breaker.command()
@click.argument("name", required=False)
@click.option("--for", "duration", type=DURATION, help="Stop after this long; without it at Ctrl-C.")
def watch(name: str | None, duration: float | None) -> None:
    """Print a line whenever a breaker changes."""
    seen: dict[str, tuple[Any, ...]] = {}
    end = SYSTEM_CLOCK.monotonic() + duration if duration else None
    while end is None or SYSTEM_CLOCK.monotonic() < end:
        for status in _statuses():
            facts = (status.state, status.override, status.generation)
            if name in (None, status.name) and seen.get(status.name) != facts:
                seen[status.name] = facts
                click.echo(_line(status))
        SYSTEM_CLOCK.sleep(_WATCH_SECONDS)


def _namespace() -> str:
    return key_prefix(get_settings().ledger.name)


def _statuses() -> list[BreakerStatus]:
    with connect(get_settings().ledger_url()) as client:
        return list_breakers(client, _namespace())


def _status_of(name: str) -> BreakerStatus:
    statuses = _statuses()
    for status in statuses:
        if status.name == name:
            return status
    names = ", ".join(status.name for status in statuses) or "none yet"
    raise CommandFailed(f"No breaker is named {name!r}. There are: {names}.")


def _change(name: str, change: Callable[[CircuitBreaker], None]) -> None:
    if name != TRANSACTION_BREAKER:
        _status_of(name)
    change(breaker_to_overrule(get_settings(), name))
    click.echo(_line(_status_of(name)))


def _line(status: BreakerStatus) -> str:
    since = "" if status.for_seconds is None else f" for {status.for_seconds:.1f} s"
    parts = [f"{status.name:<20} {status.state:<9}{since}"]
    if status.retry_in:
        parts.append(f"probes in {status.retry_in:.1f} s")
    parts.append(f"{status.trips} trips, {status.failures_in_a_row} failures in a row, {status.rejected} refused")
    if status.override is not None:
        ends = f" for {status.override_ends_in:.0f} s more" if status.override_ends_in is not None else ""
        parts.append(
            f"overruled ({status.override}) by {status.override_by or 'somebody'}{ends}: {status.override_reason}"
        )
    elif status.reason:
        parts.append(status.reason)
    return "; ".join(parts)
