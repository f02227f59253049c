"""`audit`: whether the ledger keeps its promises."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from banking.audit import AuditReport
from banking.audit import audit as audit_ledger
from banking.opening import read_blocks
from config.settings import get_settings
from workers.console.base import Command
from workers.console.connection import open_ledger
from workers.console.errors import CommandFailed


@click.command(cls=Command)
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def audit(as_json: bool) -> None:
    """Check every promise of the ledger; exit code 1 when one is broken."""
    report = audit_ledger(open_ledger(), read_blocks(get_settings()))
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
    else:
        click.echo("\n".join(audit_lines(report)))
    if not report.ok:
        raise CommandFailed("The audit does not hold: see the checks that say FAILED." if not as_json else "")


def audit_lines(report: AuditReport) -> list[str]:
    """The report for people, a line for each check."""
    lines = [f"{'ok' if check.ok else 'FAILED':<7} {check.id:<4} {check.detail}" for check in report.checks]
    verdict = "holds" if report.ok else "does NOT hold"
    return [*lines, f"The audit {verdict}: {report.transactions:,} transactions, {report.lamports:,} lamports."]
