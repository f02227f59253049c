"""Running the server: one process, one event loop, two ports."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette

from config.errors import ConfigurationError
from config.settings import Settings, get_settings
from rpc.collaborators import default_collaborators
from rpc.node import RpcNode

#: Connections that may wait to be accepted.
_BACKLOG = 1024
#: Open connections of all clients together, beyond which new ones get HTTP 503.
_MAX_CONNECTIONS = 10_000
_SWITCH_SECONDS = 0.0005


class _Server(uvicorn.Server):
    """A server that leaves the signals to `serve`."""

    def install_signal_handlers(self) -> None:
        """Nothing: see `serve`."""

    def capture_signals(self) -> Any:
        return contextlib.nullcontext()


def run_rpc(
    host: str | None = None,
    http_port: int | None = None,
    ws_port: int | None = None,
    *,
    settings: Settings | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM: HTTP and websockets on `http_port`, websockets on `ws_port` as well.

    What is None comes from the settings; port 0 picks a free one.
    Raises ConfigurationError when a port is taken.
    """
    chosen = settings or get_settings()
    # Threads that come back from Redis wait for the interpreter this long (5 ms by default) while others compute.
    sys.setswitchinterval(_SWITCH_SECONDS)
    sockets = [
        listen(host or chosen.rpc.host, chosen.rpc.port if http_port is None else http_port),
        listen(host or chosen.rpc.host, chosen.rpc.ws_port if ws_port is None else ws_port),
    ]
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(chosen, sockets))


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ConfigurationError naming the address when it is not to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"The RPC server cannot listen on {host}:{port}: {error.strerror}. Choose other ports with "
            "TRUNKLINE_RPC_PORT and TRUNKLINE_RPC_WS_PORT."
        ) from error
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def uvicorn_config(app: Starlette, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves `app`: bounded messages, no compression (it costs more than loopback saves)."""
    return uvicorn.Config(
        app,
        http="auto",
        ws="websockets-sansio",
        ws_max_size=settings.rpc.body_limit,
        ws_per_message_deflate=False,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        lifespan="on",
        limit_concurrency=_MAX_CONNECTIONS,
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
    )


async def serve(settings: Settings, sockets: list[socket.socket], *, ready: Callable[[], None] | None = None) -> None:
    """Serve on `sockets` until a signal; `ready` is called once requests are answered."""
    config = uvicorn_config(RpcNode(settings, default_collaborators(settings)).application(), settings)
    server = _Server(config)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    serving = asyncio.create_task(server.serve(sockets=sockets))
    while ready is not None and not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if ready is not None and server.started:
        ready()
    await serving


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        # There is none for Windows; the standard loop does the same, more slowly.
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
