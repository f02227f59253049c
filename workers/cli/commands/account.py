"""`account`: one account, as it stands in the ledger, and how a sandbox sets it by hand."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import click
from solders.pubkey import Pubkey

from banking.admin.fixtures import read_account_file
from banking.admin.set_account import AccountUpdate
from banking.ledger.records import unpack_account
from config.settings import get_settings
from workers.cli.arguments import AMOUNT_HELP, LAMPORTS, PUBKEY, in_sol
from workers.cli.connection import open_ledger
from workers.cli.errors import CommandFailed
from workers.cli.root import trunkline
from workers.cli.sandbox import require_sandbox
from workers.cli.sending import timeout
from workers.cli.set_account import set_account_by_hand

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@trunkline.group()
def account() -> None:
    """Look at accounts, and set them by hand. Not in profile prod."""


@account.command()
@click.argument("pubkey", type=PUBKEY)
@click.option("--json", "as_json", is_flag=True, help="As `solana account --output json` prints it.")
def show(pubkey: Pubkey, as_json: bool) -> None:
    """Show an account; exit code 1 when there is none."""
    require_sandbox(get_settings(), "looking into accounts")
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
    """Write an account into FILE, for `init --account-dir` and `account set --file`; FILE must not exist."""
    require_sandbox(get_settings(), "dumping accounts")
    text = json.dumps(_facts(pubkey), indent=2) + "\n"
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise CommandFailed(f"{file} exists; nothing was written.") from None
    click.echo(f"{pubkey} is in {file}.")


@account.command("set")
@click.argument("pubkey", type=PUBKEY)
@click.option("--file", metavar="FILE", type=_FILE, help="The whole account, as `account dump` writes it.")
@click.option("--lamports", metavar="AMOUNT", type=LAMPORTS, help=f"{AMOUNT_HELP} [new: exempt from rent].")
@click.option("--owner", metavar="PUBKEY", type=PUBKEY, help="The program that owns it [new: the System program].")
@click.option("--data-base64", "content", metavar="BASE64", help="Its data.")
@click.option("--data-file", metavar="FILE", type=_FILE, help="Its data, from a file.")
@click.option("--executable/--not-executable", default=None, help="Whether it is a program.")
@click.option("--remove", is_flag=True, help="Remove it.")
@timeout
def set_by_hand(
    pubkey: Pubkey,
    file: Path | None,
    lamports: int | None,
    owner: Pubkey | None,
    content: str | None,
    data_file: Path | None,
    executable: bool | None,
    remove: bool,
    timeout: float,
) -> None:
    """Set an account by hand; what no option names stays as it is.

    A transaction of the faucet does it, so archive, oracle and audit know it; lamports come from the faucet and go
    back to it.
    """
    if content is not None and data_file is not None:
        raise click.UsageError("--data-base64 and --data-file are two ways to say one thing.")
    some = any(value is not None for value in (lamports, owner, content, data_file, executable))
    if (file is not None) + remove + some > 1:
        raise click.UsageError("--file and --remove say all; they go with no other option.")
    update = AccountUpdate(
        lamports=0 if remove else lamports,
        owner=None if owner is None else bytes(owner),
        executable=executable,
        data=data_file.read_bytes() if data_file is not None else _from_base64(content),
    )
    slot = set_account_by_hand(pubkey, update, None if file is None else read_account_file(file)[1], timeout)
    click.echo(f"{pubkey} is {'gone' if remove else 'set'} in slot {slot}.")


def _from_base64(text: str | None) -> bytes | None:
    try:
        return None if text is None else base64.b64decode(text, validate=True)
    except ValueError:
        raise click.BadParameter("it is no base64.", param_hint="--data-base64") from None


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
