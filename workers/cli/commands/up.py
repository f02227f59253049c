"""`up`: running an instance."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack

import click

from config.addresses import masked
from config.logs import configure_command
from config.sections import Fsync
from config.settings import Settings, get_settings, override_environment
from workers.cli.arguments import cors_origins, warp_slot
from workers.cli.base import StartingCommand
from workers.cli.ledger_creation import create_if_missing
from workers.cli.root import trunkline
from workers.cli.sandbox import require_sandbox

#: Seconds after which `up` says that its workers are slow to come.
SLOW_BOOT = 30.0


@trunkline.command(cls=StartingCommand)
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
@warp_slot
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
    warp_slot: int | None,
) -> None:
    """Run an instance until Ctrl-C: Redis, workers, beat, Flower and the Solana RPC server."""
    from workers.metrics.server import MetricsServer
    from workers.supervisor.flower_login import require_login
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
    if warp_slot is not None:
        require_sandbox(settings, "--warp-slot")
    if not no_flower:
        require_login(settings.profile, os.environ)
    launcher = Launcher(
        settings,
        workers=workers,
        redis_tcp_port=redis_port,
        flower_port=flower_port,
        flower=not no_flower,
        rpc=not no_rpc,
        rpc_port=rpc_port,
        prepare=lambda url: click.echo(create_if_missing(settings, url, dict, warp_slot=warp_slot)),
        move_redis=move_redis,
        notify=click.echo,
    )
    with launcher.run(), ExitStack() as beside:
        configure_command(settings, "up", server=True, file=launcher.log_folder / "up.log")
        click.echo(f"Redis   {masked(launcher.redis_url)}")
        if launcher.broker_url != launcher.redis_url:
            click.echo(f"Broker  {masked(launcher.broker_url)}")
        if launcher.flower_url:
            click.echo(f"Flower  {launcher.flower_url}")
        if launcher.rpc_url:
            websocket = launcher.rpc_url.replace("http://", "ws://").rpartition(":")
            click.echo(f"RPC     {launcher.rpc_url}  (websocket {websocket[0]}:{int(websocket[2]) + 1})")
        if settings.metrics.port:
            # Read anew: by now the instance's note says where Redis is.
            server = MetricsServer(get_settings(), launcher.metrics_folder)
            beside.callback(server.stop)
            click.echo(f"Metrics http://{settings.metrics.host}:{server.start()}/metrics")
        click.echo(f"Logs    {launcher.log_folder}")
        try:
            _announce_workers(settings, launcher.redis_url, workers)
            launcher.wait()
        except StopRequested:
            # The ordinary end of `up`.
            click.echo("Stopping ...")
    click.echo("Stopped.")


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
