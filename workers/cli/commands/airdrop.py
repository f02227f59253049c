"""`airdrop`: lamports from the faucet."""

from __future__ import annotations

import click
from solders.pubkey import Pubkey

from config.settings import get_settings
from workers.cli.arguments import PUBKEY, join_words
from workers.cli.root import trunkline
from workers.cli.sending import no_wait, send_transfer, timeout
from workers.faucet import read_faucet


@trunkline.command()
@click.argument("pubkey", type=PUBKEY)
@click.argument("lamports", metavar="AMOUNT", nargs=-1, required=True, callback=join_words)
@no_wait
@timeout
def airdrop(pubkey: Pubkey, lamports: int, no_wait: bool, timeout: float) -> None:
    """Give lamports from the faucet: an ordinary transfer, signed with its key. Not in profile prod.

    AMOUNT is 1.5SOL, or lamports as a plain number.
    """
    send_transfer(read_faucet(get_settings()), pubkey, lamports, None if no_wait else timeout)
