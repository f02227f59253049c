"""`rpc`: the Solana RPC server alone, for an instance that runs elsewhere or without one."""

from __future__ import annotations

import click

from config.logs import configure_process
from config.settings import get_settings, override_environment
from workers.cli.arguments import cors_origins
from workers.cli.base import StartingCommand
from workers.cli.root import trunkline


@trunkline.command(cls=StartingCommand)
@click.option("--host", help="Address to listen on [TRUNKLINE_RPC_HOST; default 127.0.0.1].")
@click.option("--port", type=click.IntRange(1, 65534), help="HTTP port; websockets get the next one [default: 8899].")
@cors_origins
def rpc(host: str | None, port: int | None, cors_origins: str | None) -> None:
    """Serve Solana's JSON-RPC and websockets until Ctrl-C."""
    # The one place that knows the room above.
    from rpc.runner import run_rpc

    if host is not None:
        override_environment(rpc_host=host)
    if port is not None:
        override_environment(rpc_port=port, rpc_ws_port=port + 1)
    if cors_origins is not None:
        override_environment(rpc_cors_origins=cors_origins)
    configure_process(get_settings(), "rpc")
    run_rpc()
