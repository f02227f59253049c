"""`balance`: an account's lamports."""

from __future__ import annotations

import click
from solders.pubkey import Pubkey

from banking.ledger.records import lamports_of
from workers.cli.arguments import PUBKEY, in_sol
from workers.cli.connection import open_ledger
from workers.cli.root import trunkline


@trunkline.command()
@click.argument("pubkey", type=PUBKEY)
@click.option("--sol", is_flag=True, help="In SOL (10^9 lamports).")
def balance(pubkey: Pubkey, sol: bool) -> None:
    """Show an account's lamports; 0 when there is no such account."""
    lamports = lamports_of(open_ledger().account(bytes(pubkey)))
    click.echo(f"{in_sol(lamports)} SOL" if sol else f"{lamports} lamports")
