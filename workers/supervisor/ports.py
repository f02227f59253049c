"""TCP ports on the loopback address: which are free, and a clear word about those that are not."""

from __future__ import annotations

import socket

from config.errors import TrunklineError

LOOPBACK = "127.0.0.1"
_LAST_PORT = 65535


class PortInUse(TrunklineError):
    """A port that was asked for is taken."""

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
    """Some port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def choose_port(asked: int | None, preferred: int, purpose: str) -> int:
    """`asked` if given (0: any free one), else `preferred` when free, else some free one.

    Raises PortInUse when the port that was asked for is taken.
    """
    if asked:
        if not is_free(asked):
            raise PortInUse(asked, purpose)
        return asked
    return preferred if asked is None and is_free(preferred) else free_port()


def choose_pair(asked: int | None, preferred: int, purpose: str) -> int:
    """As `choose_port`, for a port whose successor must be free as well. Raises PortInUse naming the one taken."""
    if asked:
        for port in (asked, asked + 1):
            if not is_free(port):
                raise PortInUse(port, purpose)
        return asked
    port = preferred if asked is None else free_port()
    while not (port < _LAST_PORT and is_free(port) and is_free(port + 1)):
        port = free_port()
    return port
