"""`audit`: whether the ledger keeps its promises."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import click

from banking.audit.audit import AuditReport, Check
from banking.audit.audit import audit as audit_ledger
from banking.from_settings import read_blocks
from config.settings import get_settings
from workers.cli.commands.archive import replay_archive
from workers.cli.connection import open_ledger
from workers.cli.errors import CommandFailed
from workers.cli.root import trunkline


@trunkline.command()
@click.option("--replay", is_flag=True, help="Also execute the archive again (I9); see `archive replay --check`.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def audit(replay: bool, as_json: bool) -> None:
    """Check every promise of the ledger; exit code 1 when one is broken."""
    report = audit_ledger(open_ledger(), read_blocks(get_settings()))
    if replay:
        report = _with_replay(report)
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
    else:
        click.echo("\n".join(audit_lines(report)))
    if not report.ok:
        raise CommandFailed("The audit does not hold: see the checks that say FAILED." if not as_json else "")


def _with_replay(report: AuditReport) -> AuditReport:
    replayed = replay_archive(read_blocks(get_settings()))
    detail = f"{replayed.transactions} transactions executed again, {replayed.accounts} account states compared"
    if not replayed.ok:
        first = replayed.divergences[0]
        detail = f"{replayed.count} divergences from the oracle: {first}; see `trunkline archive replay --check`"
    return replace(report, ok=report.ok and replayed.ok, checks=[*report.checks, Check("I9", replayed.ok, detail)])


def audit_lines(report: AuditReport) -> list[str]:
    """The report for people, a line for each check."""
    lines = [f"{'ok' if check.ok else 'FAILED':<7} {check.id:<4} {check.detail}" for check in report.checks]
    verdict = "holds" if report.ok else "does NOT hold"
    return [*lines, f"The audit {verdict}: {report.transactions:,} transactions, {report.lamports:,} lamports."]
