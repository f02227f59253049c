"""`trunkline mode`: see, set and explain degradation modes.

The parent command puts a function that makes the DegradationManager into `ctx.obj`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from recovery.degradation import SYSTEM, DegradationManager, DegradationMode, OperationType
from recovery.degradation.status import EntryStatus
from workers.cli.arguments import DURATION
from workers.cli.base import Group
from workers.cli.errors import OURS
from workers.cli.operator import current_operator
from workers.cli.root import trunkline

ManagerFactory = Callable[[], DegradationManager]


class ModeGroup(Group):
    """Errors meant for people become one line and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OURS as error:
            raise click.ClickException(str(error)) from error


_MODE = click.Choice(list(DegradationMode.__members__), case_sensitive=False)
_OPERATION = click.Choice(list(OperationType.__members__), case_sensitive=False)
_REASON = click.option("--reason", default="", help="Why; kept in the history.")
_ACTOR = click.option("--actor", default=None, help="Who; you on this machine by default.")
_ONLY = click.option("--operation", type=_OPERATION, help="Only this operation type of the component.")


@trunkline.group(cls=ModeGroup)
def mode() -> None:
    """Degradation modes: what may run now. The component "system" stands for all."""


@mode.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Everything as one JSON object.")
@click.pass_obj
def list_modes(make: ManagerFactory, as_json: bool) -> None:
    """Show the mode of the system and of each component, and what put them there."""
    manager = make()
    manager.fresh()
    status = manager.get_system_status()
    if as_json:
        click.echo(json.dumps(status, indent=2))
        return
    rows = [
        (SYSTEM, status["system"]),
        *((name, component["mode"]) for name, component in status["components"].items()),
    ]
    for name, shown_mode in rows:
        click.echo(f"{name:<24} {shown_mode}")
    for name, component in status["components"].items():
        for operation, shown_mode in component["operations"].items():
            click.echo(f"{name + '/' + operation:<24} {shown_mode}")
    for entry in status["entries"]:
        if entry["mode"] != DegradationMode.NORMAL.name:
            click.echo(_entry_line(entry))


@mode.command(name="set")
@click.argument("component")
@click.argument("wanted", metavar="MODE", type=_MODE)
@click.option("--for", "duration", type=DURATION, help="End by itself after this time, like 10m; else `mode clear`.")
@click.option("--dry-run", is_flag=True, help="Only show which operations would be refused.")
@_ONLY
@_REASON
@_ACTOR
@click.pass_obj
def set_mode(
    make: ManagerFactory,
    component: str,
    wanted: str,
    *,
    duration: float | None,
    dry_run: bool,
    operation: str | None,
    reason: str,
    actor: str | None,
) -> None:
    """Put COMPONENT ("system" for all) in MODE. Rules and the system's mode may be stricter, never milder."""
    manager = make()
    if dry_run:
        _show_dry_run(manager, component, wanted, operation)
        return
    if not reason:
        raise click.UsageError('Say why with --reason "...": it is kept in the history.')
    ruling = manager.set_component_mode(
        component, wanted, operation=operation, actor=actor or current_operator(), reason=reason, duration=duration
    )
    until = "until cleared" if duration is None else f"for {duration:g} s"
    click.echo(f"{_scope(component, operation)} is set to {wanted} {until}.")
    if ruling.name != wanted:
        why = manager.explain(component, operation or OperationType.WRITE)
        click.echo(f"In force is {ruling.name}, which is stricter. {why}")


@mode.command()
@click.argument("component")
@click.option("--rules", is_flag=True, help="Forget what automatic rules decided instead.")
@_ONLY
@_REASON
@_ACTOR
@click.pass_obj
def clear(
    make: ManagerFactory, component: str, *, rules: bool, operation: str | None, reason: str, actor: str | None
) -> None:
    """Remove the override of COMPONENT. What rules decided stays, or goes with --rules: then they begin anew."""
    if rules and operation:
        raise click.UsageError("--rules is for the whole component; leave --operation out.")
    manager = make()
    who = actor or current_operator()
    scope = _scope(component, operation)
    if rules:
        count = manager.reset_rules(component, actor=who, reason=reason)
        result = f"{count} rule{'' if count == 1 else 's'} of {scope} begin{'s' if count == 1 else ''} anew"
    elif manager.clear(component, operation=operation, actor=who, reason=reason):
        result = f"The override of {scope} is gone"
    else:
        raise click.ClickException(f"{scope} has no override; see `trunkline mode list`.")
    click.echo(f"{result}; it is {manager.get_component_mode(component, operation).name}.")


@mode.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--component", help="Only this component's, among the newest LIMIT.")
@click.pass_obj
def history(make: ManagerFactory, limit: int, component: str | None) -> None:
    """Show who or what changed which mode, newest first."""
    for entry in make().history(limit, component):
        when = datetime.fromtimestamp(entry.at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        who = f"rule {entry.actor}" if entry.automatic else entry.actor or "somebody"
        scope = _scope(entry.component, None if entry.operation == "*" else entry.operation)
        reason = f": {entry.reason}" if entry.reason else ""
        click.echo(f"{when}  {scope} {entry.was} -> {entry.mode} ({entry.cause}, {who}){reason}")


@mode.command()
@click.argument("component")
@click.argument("operation", type=_OPERATION)
@click.pass_obj
def explain(make: ManagerFactory, component: str, operation: str) -> None:
    """Say whether COMPONENT may do OPERATION now, and which rule or override decides."""
    manager = make()
    manager.fresh()
    click.echo(str(manager.explain(component, operation)))


def _show_dry_run(manager: DegradationManager, component: str, wanted: str, operation: str | None) -> None:
    manager.fresh()
    refused = [
        (name, kind) for name, kind in manager.would_refuse(wanted, component) if operation in (None, kind.value)
    ]
    if not refused:
        click.echo("Nothing that components declare would be refused.")
    for name, kind in refused:
        click.echo(f"would refuse {name} {kind.value}")


def _entry_line(entry: EntryStatus) -> str:
    scope = _scope(entry["component"], entry["operation"] or None)
    who = f"rule {entry['rule']}" if entry["automatic"] else f"override by {entry['actor'] or 'somebody'}"
    until = "" if entry["expires_in"] is None else f", {entry['expires_in']:.0f} s left"
    reason = f": {entry['reason']}" if entry["reason"] else ""
    return f"  {scope} {entry['mode']} ({who}{until}){reason}"


def _scope(component: str, operation: str | None) -> str:
    return f"{component}/{operation}" if operation else component
