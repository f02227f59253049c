"""`init`: making a ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from solders.pubkey import Pubkey

from banking.admin.fixtures import read_account_dir
from banking.admin.programs import read_program
from banking.from_settings import keeps_archive
from banking.ledger.connections import ledger_client
from config.instance import read_instance
from config.sections import Fsync
from config.settings import Settings, get_settings
from recovery.identity import Identity
from workers.cli.arguments import PUBKEY, warp_slot
from workers.cli.base import StartingCommand
from workers.cli.ledger_creation import create_if_missing
from workers.cli.root import trunkline
from workers.cli.sandbox import require_sandbox

Program = tuple[Pubkey, Path]


@trunkline.command(cls=StartingCommand)
@click.option(
    "--account-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Put the accounts of this folder into the ledger (JSON files of `solana account`).",
)
@click.option("--clone", "clones", multiple=True, metavar="ADDRESS", help="Copy this account; may be repeated.")
@click.option("--url", default="", help="The RPC server to clone from.")
@click.option(
    "--bpf-program",
    "programs",
    multiple=True,
    type=(PUBKEY, click.Path(exists=True, dir_okay=False, path_type=Path)),
    metavar="ADDRESS FILE.so",
    help="Put this program at ADDRESS; may be repeated.",
)
@warp_slot
def init(
    account_dir: Path | None,
    clones: tuple[str, ...],
    url: str,
    programs: tuple[Program, ...],
    warp_slot: int | None,
) -> None:
    """Make the ledger, with a faucet that owns its lamports.

    Uses the running instance or TRUNKLINE_REDIS_URL; without either it starts the embedded Redis for a moment.
    Does no harm when repeated: accounts are taken from a folder or another cluster only when the ledger is made.
    `up` does it by itself, without such accounts.
    """
    settings = get_settings()
    for name, given in (("--bpf-program", programs), ("--account-dir", account_dir), ("--clone", clones)):
        if given:
            require_sandbox(settings, name)
    # Read before anything is started or made: a bad file is to be found at once.
    code = dict(read_program(address, file) for address, file in programs)
    with _reachable_redis(settings) as redis_url:
        made = create_if_missing(
            settings, redis_url, lambda: _extra_accounts(account_dir, clones, url) | code, warp_slot=warp_slot
        )
        click.echo(made)
    if keeps_archive(settings):
        signer = Identity.load(settings.identity_path()).address
        click.echo(f"Its blocks are signed by {signer}: TRUNKLINE_TRUSTED_KEYS on hosts that have not the key.")


def _extra_accounts(account_dir: Path | None, clones: tuple[str, ...], url: str) -> dict[bytes, bytes]:
    accounts = read_account_dir(account_dir) if account_dir is not None else {}
    if clones:
        from rpc.sandbox.cloning import clone_accounts

        try:
            keys = [Pubkey.from_string(address) for address in clones]
        except ValueError as error:
            raise click.BadParameter(f"{error}", param_hint="--clone") from None
        if not url:
            raise click.UsageError("--clone needs --url: say which cluster to copy from.")
        accounts = clone_accounts(url, keys) | accounts
    return accounts


@contextmanager
def _reachable_redis(settings: Settings) -> Iterator[str]:
    """URL of a Redis for the ledger: the one set, the running instance's, or the embedded one for this while."""
    from workers.supervisor.embedded_redis import EmbeddedRedis
    from workers.supervisor.instance_lock import InstanceLock

    if settings.external_redis or read_instance(settings.data_dir) is not None:
        with ledger_client(settings):
            yield settings.ledger_url()
        return
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = InstanceLock(settings.data_dir.resolve())
    lock.acquire()
    try:
        server = EmbeddedRedis(settings.data_dir.resolve() / "redis", fsync=Fsync.ALWAYS)
        try:
            server.start()
            yield server.url
        finally:
            server.stop()
    finally:
        lock.release()
