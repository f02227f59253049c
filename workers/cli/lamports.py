"""`transfer`, `airdrop` and `balance`."""

from __future__ import annotations

from pathlib import Path

import click
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from banking.ledger.records import lamports_of
from config.settings import get_settings
from tasks.receipts import Receipt, Verdict
from workers.cli.arguments import AMOUNT_HELP, LAMPORTS, PUBKEY, in_sol, join_words
from workers.cli.base import Command
from workers.cli.connection import open_ledger, open_submitter
from workers.cli.errors import CommandFailed
from workers.faucet import read_faucet
from workers.keypairs import read_keypair
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


@click.command(cls=Command)
@click.option("--from", "source", metavar="KEYPAIR", type=click.Path(path_type=Path), required=True)
@click.option("--to", "target", metavar="PUBKEY", type=PUBKEY, required=True)
@click.option("--amount", "--lamports", "lamports", metavar="AMOUNT", type=LAMPORTS, required=True, help=AMOUNT_HELP)
@no_wait
@timeout
def transfer(source: Path, target: Pubkey, lamports: int, no_wait: bool, timeout: float) -> None:
    """Transfer lamports from the owner of a keypair file, such as `keygen` makes."""
    _send(read_keypair(source), target, lamports, None if no_wait else timeout)


@click.command(cls=Command)
@click.argument("pubkey", type=PUBKEY)
@click.argument("lamports", metavar="AMOUNT", nargs=-1, required=True, callback=join_words)
@no_wait
@timeout
def airdrop(pubkey: Pubkey, lamports: int, no_wait: bool, timeout: float) -> None:
    """Give lamports from the faucet: an ordinary transfer, signed with its key. Not in profile prod.

    AMOUNT is 1.5SOL, or lamports as a plain number.
    """
    _send(read_faucet(get_settings()), pubkey, lamports, None if no_wait else timeout)


@click.command(cls=Command)
@click.argument("pubkey", type=PUBKEY)
@click.option("--sol", is_flag=True, help="In SOL (10^9 lamports).")
def balance(pubkey: Pubkey, sol: bool) -> None:
    """Show an account's lamports; 0 when there is no such account."""
    lamports = lamports_of(open_ledger().account(bytes(pubkey)))
    click.echo(f"{in_sol(lamports)} SOL" if sol else f"{lamports} lamports")


def _send(source: Keypair, target: Pubkey, lamports: int, wait: float | None) -> None:
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
    _tell_outcome(receipt, wait)


def _tell_outcome(receipt: Receipt, waited: float) -> None:
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
