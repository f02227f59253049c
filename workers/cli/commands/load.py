"""`load`: the load generator."""

from __future__ import annotations

import click

from config.settings import get_settings
from workers.cli.connection import open_ledger, open_registry, open_submitter
from workers.cli.errors import CommandFailed
from workers.cli.root import trunkline
from workers.cli.worker_count import WorkerCount
from workers.faucet import read_faucet


@trunkline.command()
@click.option("--count", metavar="N", type=click.IntRange(1), required=True, help="Transfers to submit.")
@click.option("--accounts", metavar="K", type=click.IntRange(2), required=True, help="Accounts to fund for them.")
@click.option(
    "--rate",
    metavar="R",
    type=click.FloatRange(min=0, min_open=True),
    help="Transfers a second [default: no limit].",
)
def load(count: int, accounts: int, rate: float | None) -> None:
    """Submit N signed transfers among K new accounts, and wait for every outcome.

    The accounts get their lamports from the faucet. Exit code 1 unless every transfer was processed.
    """
    from rich.console import Console

    from workers.cli.display import LoadDisplay, summary
    from workers.loadgen.generator import LoadGenerator, LoadOrder

    faucet = read_faucet(get_settings())
    ledger = open_ledger()
    console = Console()
    order = LoadOrder(count, accounts, rate)
    generator = LoadGenerator(ledger, open_submitter(ledger), faucet, order)
    console.print(f"Funding {accounts:,} accounts from the faucet ...", highlight=False)
    keypairs = generator.fund()
    with LoadDisplay(console, WorkerCount(open_registry(ledger))) as display:
        report = generator.run(keypairs, display.tick)
    console.print(summary(report))
    if report.missing:
        raise CommandFailed(
            f"{report.missing:,} transactions have no outcome: nothing moved for a minute. "
            "`trunkline status` shows whether workers consume."
        )
    if report.processed != report.total:
        raise CommandFailed(f"{report.total - report.processed:,} transfers were not processed.")
