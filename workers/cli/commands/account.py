"""`account`: one account, as it stands in the ledger."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import click
from solders.pubkey import Pubkey

from banking.ledger.records import unpack_account
from workers.cli.arguments import PUBKEY, in_sol
from workers.cli.connection import open_ledger
from workers.cli.errors import CommandFailed
from workers.cli.root import trunkline


@trunkline.group()
def account() -> None:
    """Look at accounts."""


@account.command()
@click.argument("pubkey", type=PUBKEY)
@click.option("--json", "as_json", is_flag=True, help="As `solana account --output json` prints it.")
def show(pubkey: Pubkey, as_json: bool) -> None:
    """Show an account; exit code 1 when there is none."""
    facts = _facts(pubkey)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    found = facts["account"]
    click.echo(f"{'address':<12} {pubkey}")
    click.echo(f"{'balance':<12} {in_sol(found['lamports'])} SOL ({found['lamports']} lamports)")
    for name in ("owner", "executable", "space"):
        click.echo(f"{name:<12} {found[name]}")
    data = base64.b64decode(found["data"][0])
    for at in range(0, min(len(data), _SHOWN_BYTES), _LINE_BYTES):
        click.echo(f"{at:<12} {data[at : at + _LINE_BYTES].hex(' ')}")
    if len(data) > _SHOWN_BYTES:
        click.echo(f"{'':<12} ... ({len(data):,} bytes; `account dump` writes all)")


@account.command()
@click.argument("pubkey", type=PUBKEY)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def dump(pubkey: Pubkey, file: Path) -> None:
    """Write an account into FILE, for `init --account-dir`; FILE must not exist."""
    text = json.dumps(_facts(pubkey), indent=2) + "\n"
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise CommandFailed(f"{file} exists; nothing was written.") from None
    click.echo(f"{pubkey} is in {file}.")


_SHOWN_BYTES, _LINE_BYTES = 256, 16


def _facts(pubkey: Pubkey) -> dict[str, Any]:
    """The account in the JSON of the Solana tools. Raises CommandFailed when there is none."""
    record = open_ledger().account(bytes(pubkey))
    if not record:
        raise CommandFailed(f"There is no account {pubkey}.")
    view = unpack_account(record)
    return {
        "pubkey": str(pubkey),
        "account": {
            "lamports": view.lamports,
            "data": [base64.b64encode(view.data).decode(), "base64"],
            "owner": str(Pubkey(view.owner)),
            "executable": view.executable,
            "rentEpoch": view.rent_epoch,
            "space": len(view.data),
        },
    }
