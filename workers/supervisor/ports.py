"""TCP ports on the loopback address: which are free, and a clear word about those that are not."""

from __future__ import annotations

import socket

from config.errors import TrunklineError

LOOPBACK = "127.0.0.1"
_LAST_PORT = 65535


class PortInUse(TrunklineError):
    """The requested port is taken."""

    def __init__(self, port: int, purpose: str) -> None:
        super().__init__(
            f"Port {port} on {LOOPBACK}, wanted for {purpose}, is in use. "
            "Stop what listens there or choose another port."
        )
        self.port = port


def is_free(port: int) -> bool:
    """True when a server could listen on `port` now."""
    with socket.socket() as probe:
        # As servers do: connections of a former server that still linger do not make the port busy.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def choose_port(requested: int | None, preferred: int, purpose: str) -> int:
    """`requested` if given (0: any free one), else `preferred` when free, else some free one.

    Raises PortInUse when the port that was requested for is taken.
    """
    if requested:
        if not is_free(requested):
            raise PortInUse(requested, purpose)
        return requested
    return preferred if requested is None and is_free(preferred) else free_port()


def choose_pair(requested: int | None, preferred: int, purpose: str) -> int:
    """As `choose_port`, for a port whose successor must be free as well. Raises PortInUse naming the one taken."""
    if requested:
        for port in (requested, requested + 1):
            if not is_free(port):
                raise PortInUse(port, purpose)
        return requested
    port = preferred if requested is None else free_port()
    while not (port < _LAST_PORT and is_free(port) and is_free(port + 1)):
        port = free_port()
    return port
