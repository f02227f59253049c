"""`breaker`: see the circuit breakers that all workers share, and overrule them."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import click

from banking.ledger.keys import key_prefix
from config.settings import get_settings
from recovery.breaker import BreakerStatus, CircuitBreaker, CircuitBreakerConfig, list_breakers
from recovery.clock import SYSTEM_CLOCK
from recovery.connections import connect
from tasks.runtime import TRANSACTION_BREAKER
from workers.cli.base import Group
from workers.cli.errors import CommandFailed
from workers.cli.mode import Duration

_WATCH_SECONDS = 0.2


@click.group(cls=Group)
def breaker() -> None:
    """Circuit breakers: what is refused because a dependency fails."""


@breaker.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def list_all(as_json: bool) -> None:
    """Show every breaker's state."""
    found = _all()
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
        return
    for each in found:
        click.echo(_line(each))
    if not found:
        click.echo("No breaker has been used yet.")


@breaker.command()
@click.argument("name")
def show(name: str) -> None:
    """Show one breaker, as JSON."""
    click.echo(json.dumps(asdict(_one(name)), indent=2))


@breaker.command()
@click.argument("name")
@click.option("--for", "for_", type=Duration(), help="Until then, such as 10m; without it until `reset`.")
@click.option("--reason", required=True, help="Why; callers are told.")
def open(name: str, for_: float | None, reason: str) -> None:
    """Refuse every call: transactions are parked, none is lost, no attempt is used up."""
    _overrule(name, lambda each: each.force_open(reason, for_=for_, by=_actor()))


@breaker.command()
@click.argument("name")
@click.option("--for", "for_", type=Duration(), help="Until then, such as 10m; without it until `reset`.")
@click.option("--reason", required=True, help="Why.")
def close(name: str, for_: float | None, reason: str) -> None:
    """Let every call through, whatever happens."""
    _overrule(name, lambda each: each.force_closed(reason, for_=for_, by=_actor()))


@breaker.command()
@click.argument("name")
@click.option("--for", "for_", type=Duration(), help="Until then, such as 10m; without it until `reset`.")
@click.option("--reason", required=True, help="Why.")
def disable(name: str, for_: float | None, reason: str) -> None:
    """Shadow mode: count, and refuse nothing."""
    _overrule(name, lambda each: each.disable(reason, for_=for_, by=_actor()))


@breaker.command()
@click.argument("name")
@click.option("--reason", default="reset", help="Why.")
def reset(name: str, reason: str) -> None:
    """Take overrides away and close it with all counts at 0."""
    _overrule(name, lambda each: each.reset(reason, by=_actor()))


@breaker.command()
@click.argument("name", required=False)
@click.option("--for", "for_", type=Duration(), help="Stop after this long; without it at Ctrl-C.")
def watch(name: str | None, for_: float | None) -> None:
    """Print a line whenever a breaker changes."""
    seen: dict[str, tuple[Any, ...]] = {}
    end = SYSTEM_CLOCK.monotonic() + for_ if for_ else None
    while end is None or SYSTEM_CLOCK.monotonic() < end:
        for each in _all():
            facts = (each.state, each.override, each.generation)
            if name in (None, each.name) and seen.get(each.name) != facts:
                seen[each.name] = facts
                click.echo(_line(each))
        SYSTEM_CLOCK.sleep(_WATCH_SECONDS)


def _namespace() -> str:
    return key_prefix(get_settings().ledger)


def _all() -> list[BreakerStatus]:
    with connect(get_settings().ledger_url()) as client:
        return list_breakers(client, _namespace())


def _one(name: str) -> BreakerStatus:
    for each in _all():
        if each.name == name:
            return each
    names = ", ".join(each.name for each in _all()) or "none yet"
    raise CommandFailed(f"No breaker is named {name!r}. There are: {names}.")


def _overrule(name: str, act: Callable[[CircuitBreaker], None]) -> None:
    if name != TRANSACTION_BREAKER:
        _one(name)
    # Overrides are stored whatever the config; only the pipeline's own breaker may not be in use yet.
    config = CircuitBreakerConfig.preset("transaction") if name == TRANSACTION_BREAKER else None
    act(CircuitBreaker(name, config, redis=get_settings().ledger_url(), namespace=_namespace()))
    click.echo(_line(_one(name)))


def _actor() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _line(each: BreakerStatus) -> str:
    since = "" if each.for_seconds is None else f" for {each.for_seconds:.1f} s"
    parts = [f"{each.name:<20} {each.state:<9}{since}"]
    if each.retry_in:
        parts.append(f"probes in {each.retry_in:.1f} s")
    parts.append(f"{each.trips} trips, {each.failures_in_a_row} failures in a row, {each.rejected} refused")
    if each.override is not None:
        ends = f" for {each.override_ends_in:.0f} s more" if each.override_ends_in is not None else ""
        parts.append(f"overruled ({each.override}) by {each.override_by or 'somebody'}{ends}: {each.override_reason}")
    elif each.reason:
        parts.append(each.reason)
    return "; ".join(parts)
