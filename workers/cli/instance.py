"""`init` and `up`: making a ledger, and running its instance."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from solders.pubkey import Pubkey

from banking.admin.fixtures import read_account_dir
from banking.errors import LedgerExists, LedgerRestoring
from banking.ledger.connections import ledger_client
from config.addresses import masked
from config.errors import TrunklineError
from config.instance import read_instance
from config.logs import configure_command
from config.settings import Fsync, Settings, get_settings, override_environment
from workers.cli.arguments import cors_origins
from workers.cli.base import StartingCommand
from workers.faucet import Initialised, faucet_path, initialise

#: Seconds after which `up` says that its workers are slow to come.
SLOW_BOOT = 30.0


@click.command(cls=StartingCommand)
@click.option(
    "--account-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Put the accounts of this folder into the ledger (JSON files of `solana account`).",
)
@click.option("--clone", "clones", multiple=True, metavar="ADDRESS", help="Copy this account; may be repeated.")
@click.option("--url", default="", help="The RPC server to clone from.")
def init(account_dir: Path | None, clones: tuple[str, ...], url: str) -> None:
    """Make the ledger, with a faucet that owns its lamports.

    Uses the running instance or TRUNKLINE_REDIS_URL; without either it starts the embedded Redis for a moment.
    Does no harm when repeated: accounts are taken from a folder or another cluster only when the ledger is made.
    `up` does it by itself, without such accounts.
    """
    settings = get_settings()
    with _some_redis(settings) as redis_url:
        click.echo(_made(settings, redis_url, lambda: _extra(account_dir, clones, url)))


def _extra(account_dir: Path | None, clones: tuple[str, ...], url: str) -> dict[bytes, bytes]:
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


@click.command(cls=StartingCommand)
@click.option("--workers", type=click.IntRange(0), default=2, show_default=True, help="Transaction workers.")
@click.option("--flower-port", type=click.IntRange(1, 65535), help="Port of Flower [default: 5555, or a free one].")
@click.option("--no-flower", is_flag=True, help="Do without Flower.")
@click.option(
    "--rpc-port", type=click.IntRange(1, 65534), help="Port of the RPC server [default: 8899, or a free one]."
)
@click.option("--no-rpc", is_flag=True, help="Do without the RPC server.")
@click.option(
    "--redis-port",
    type=click.IntRange(0, 65535),
    help="Put the embedded Redis on this loopback port, with a password (0: any) [default: a Unix socket].",
)
@click.option(
    "--fsync",
    type=click.Choice([mode.value for mode in Fsync]),
    help="When the embedded Redis forces writes to disk (TRUNKLINE_FSYNC; default everysec).",
)
@click.option(
    "--move-redis",
    is_flag=True,
    help="Let a newer Redis take over the data, of which a copy is kept. There is no other way back.",
)
@cors_origins
def up(
    workers: int,
    flower_port: int | None,
    no_flower: bool,
    rpc_port: int | None,
    no_rpc: bool,
    redis_port: int | None,
    fsync: str | None,
    move_redis: bool,
    cors_origins: str | None,
) -> None:
    """Run an instance until Ctrl-C: Redis, workers, beat, Flower and the Solana RPC server."""
    from workers.supervisor.launcher import Launcher
    from workers.supervisor.stop_signals import StopRequested

    if no_flower and flower_port is not None:
        raise click.UsageError("--no-flower and --flower-port exclude each other.")
    if no_rpc and rpc_port is not None:
        raise click.UsageError("--no-rpc and --rpc-port exclude each other.")
    if fsync is not None:
        override_environment(fsync=fsync)
    if cors_origins is not None:
        override_environment(rpc_cors_origins=cors_origins)
    settings = get_settings()
    launcher = Launcher(
        settings,
        workers=workers,
        redis_tcp_port=redis_port,
        flower_port=flower_port,
        flower=not no_flower,
        rpc=not no_rpc,
        rpc_port=rpc_port,
        prepare=lambda url: click.echo(_made(settings, url, dict)),
        move_redis=move_redis,
        say=click.echo,
    )
    with launcher.run():
        configure_command(settings, "up", server=True, file=launcher.log_folder / "up.log")
        click.echo(f"Redis   {masked(launcher.redis_url)}")
        if launcher.broker_url != launcher.redis_url:
            click.echo(f"Broker  {masked(launcher.broker_url)}")
        if launcher.flower_url:
            click.echo(f"Flower  {launcher.flower_url}")
        if launcher.rpc_url:
            websocket = launcher.rpc_url.replace("http://", "ws://").rpartition(":")
            click.echo(f"RPC     {launcher.rpc_url}  (websocket {websocket[0]}:{int(websocket[2]) + 1})")
        click.echo(f"Logs    {launcher.log_folder}")
        try:
            _announce_workers(settings, launcher.redis_url, workers)
            launcher.wait()
        except StopRequested:
            # The ordinary end of `up`.
            click.echo("Stopping ...")
    click.echo("Stopped.")


def _made(settings: Settings, redis_url: str, more: Callable[[], dict[bytes, bytes]]) -> str:
    """Make the ledger if need be, with `more` accounts beside the faucet's; what to say of it."""
    try:
        return _told(settings, initialise(settings, redis_url, more))
    except LedgerRestoring:
        return f"The restore of ledger {settings.ledger!r} was cut off: the workers are to finish it."
    except LedgerExists:
        return f"Redis has no ledger {settings.ledger!r}, but the archive has: the workers are to restore it."


def _announce_workers(settings: Settings, redis_url: str, workers: int) -> None:
    from workers.cli.readiness import Readiness

    readiness = Readiness(settings, redis_url, transaction_workers=workers)
    started = time.monotonic()
    warned = False
    while not readiness.reached():
        if not warned and time.monotonic() - started > SLOW_BOOT:
            click.echo(f"Still waiting: {readiness.missing}. Their logs may say why.", err=True)
            warned = True
        time.sleep(0.2)
    click.echo(f"Ready: {readiness.shown}. Ctrl-C stops everything.")


@contextmanager
def _some_redis(settings: Settings) -> Iterator[str]:
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


def _told(settings: Settings, made: Initialised) -> str:
    path = faucet_path(settings)
    if made.created:
        return (
            f"Ledger {settings.ledger!r} made (id {made.ledger_id}). Its faucet {made.faucet} holds "
            f"{settings.genesis_lamports} lamports; the key is {path}."
        )
    if made.faucet is not None:
        return f"Ledger {settings.ledger!r} is there already (id {made.ledger_id}), with the faucet {made.faucet}."
    if not path.exists():
        return (
            f"Ledger {settings.ledger!r} is there already (id {made.ledger_id}), made elsewhere: "
            f"no airdrops from here without its faucet key in {path}."
        )
    raise TrunklineError(
        f"The ledger {settings.ledger!r} exists, but the key in {path} has nothing in it: it is another ledger's. "
        "Choose another ledger by TRUNKLINE_LEDGER, another --data DIR, or put the right faucet.json there."
    )
