"""`keygen`: a new keypair in a file."""

from __future__ import annotations

from pathlib import Path

import click
from solders.keypair import Keypair

from banking.keypairs import write_keypair
from workers.cli.errors import CommandFailed
from workers.cli.root import trunkline


@trunkline.command()
@click.option(
    "--outfile",
    "-o",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("keypair.json"),
    show_default=True,
    help="Where to write it; only you may read it.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there: what only its key can move is lost.")
def keygen(outfile: Path, force: bool) -> None:
    """Make a keypair, in the Solana tools' own file format, and print its public key."""
    keypair = Keypair()
    if not write_keypair(outfile, keypair, replace=force):
        raise CommandFailed(
            f"{outfile} exists; nothing was written. Choose another --outfile, or replace it by --force."
        )
    click.echo(f"The keypair is in {outfile}. Whoever has the file owns its lamports; its public key:", err=True)
    click.echo(keypair.pubkey())
