"""Sending a transfer and waiting for its outcome, for `transfer` and `airdrop`."""

from __future__ import annotations

import click
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from tasks.receipts import Receipt, Verdict
from workers.cli.connection import open_ledger, open_submitter
from workers.cli.errors import CommandFailed
from workers.loadgen.transfers import unique_transfer

no_wait = click.option("--no-wait", is_flag=True, help="Do not wait for the outcome.")
timeout = click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="The longest wait for the outcome.",
)


def send_transfer(source: Keypair, target: Pubkey, lamports: int, wait: float | None) -> None:
    """Submit a transfer and wait `wait` seconds for its outcome. Raises CommandFailed unless it is processed."""
    ledger = open_ledger()
    transaction = unique_transfer(source, target, lamports, ledger.state().blockhash)
    submitter = open_submitter(ledger)
    [receipt] = submitter.submit([transaction])
    if receipt.verdict is Verdict.REJECTED:
        raise CommandFailed(f"The transfer was rejected: {receipt.reason}.")
    click.echo(receipt.signature)
    if wait is None:
        click.echo("accepted")
        return
    [receipt] = submitter.wait_for([receipt], timeout=wait)
    _show_outcome(receipt, wait)


def _show_outcome(receipt: Receipt, waited: float) -> None:
    outcome = receipt.outcome
    if receipt.refused:
        raise CommandFailed(f"The transfer was refused, and costs nothing: {receipt.reason}.")
    if outcome is None:
        raise CommandFailed(
            f"No outcome within {waited:g} s. The transfer is accepted and will get one; do not send it again. "
            "`trunkline status` shows whether workers consume."
        )
    if outcome.err is not None:
        for line in outcome.logs:
            click.echo(f"  {line}", err=True)
        raise CommandFailed(f"The transfer failed in slot {outcome.slot}: {outcome.err} (fee {outcome.fee} lamports).")
    click.echo(f"processed in slot {outcome.slot}, fee {outcome.fee} lamports")
