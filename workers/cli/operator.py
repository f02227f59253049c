"""Who gives a command, for the histories that keep it."""

from __future__ import annotations

import getpass
import socket


def current_operator() -> str:
    """`user@host` of this process."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
