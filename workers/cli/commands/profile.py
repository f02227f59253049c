"""`profile`: what a transaction would cost, instruction by instruction."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from banking.execution.executor import SvmExecutor
from banking.execution.profile import invocations
from banking.execution.stage import BankingStage
from banking.transaction import decode, verify
from config.settings import get_settings
from workers.cli.connection import open_ledger
from workers.cli.errors import CommandFailed
from workers.cli.root import trunkline
from workers.cli.sandbox import require_sandbox


@trunkline.command()
@click.argument("transaction")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def profile(transaction: str, as_json: bool) -> None:
    """Execute a signed TRANSACTION (base64 or base58) without effect; show the compute units of each instruction.

    Exit code 1 when it would fail.
    """
    require_sandbox(get_settings(), "profiling transactions")
    done = BankingStage(open_ledger(), SvmExecutor()).simulate(verify(decode(transaction)))
    rows = invocations(done.result.logs)
    told = sum(row.units or 0 for row in rows if row.depth == 1)
    facts = {
        "slot": done.slot,
        "err": done.result.err,
        "units": done.result.units,
        # Of builtin programs the VM tells the sum only.
        "builtin_units": done.result.units - told,
        "invocations": [asdict(row) for row in rows],
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        for row in rows:
            units = "builtin" if row.units is None else f"{row.units:,}"
            click.echo(f"{units:>10}  {'  ' * (row.depth - 1)}{row.program}")
        click.echo(f"{done.result.units:>10,}  in all, {facts['builtin_units']:,} of them by builtin programs")
    if done.result.err is not None:
        raise CommandFailed(f"It would fail: {done.result.err}")
