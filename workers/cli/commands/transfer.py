"""`transfer`: lamports from the owner of a keypair file."""

from __future__ import annotations

from pathlib import Path

import click
from solders.pubkey import Pubkey

from banking.keypairs import read_keypair
from workers.cli.arguments import AMOUNT_HELP, LAMPORTS, PUBKEY
from workers.cli.root import trunkline
from workers.cli.sending import no_wait, send_transfer, timeout


@trunkline.command()
@click.option("--from", "source", metavar="KEYPAIR", type=click.Path(path_type=Path), required=True)
@click.option("--to", "target", metavar="PUBKEY", type=PUBKEY, required=True)
@click.option("--amount", "--lamports", "lamports", metavar="AMOUNT", type=LAMPORTS, required=True, help=AMOUNT_HELP)
@no_wait
@timeout
def transfer(source: Path, target: Pubkey, lamports: int, no_wait: bool, timeout: float) -> None:
    """Transfer lamports from the owner of a keypair file, such as `keygen` makes."""
    send_transfer(read_keypair(source), target, lamports, None if no_wait else timeout)
