"""Health checks that run inside a container: `python -m workers.container_health broker|flower|rpc`.

Exit code 0 when healthy, 1 with the reason on standard error when not, 2 for wrong usage.
"""

from __future__ import annotations

import socket
import sys
import urllib.request
from urllib.parse import urlsplit

import psutil

from config.addresses import is_amqp
from config.settings import get_settings

FLOWER_HEALTH = "http://127.0.0.1:5555/healthcheck"


def broker_problem(url: str) -> str | None:
    """None when a process of this container holds a TCP connection to the broker, else what is wrong.

    Beat answers no questions, but it publishes several times a second over a lasting connection; without one it is
    idle or stuck.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "localhost", parts.port or (5672 if is_amqp(url) else 6379)
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError as error:
        return f"the broker's name {host} is unknown: {error}"
    for connection in psutil.net_connections("tcp"):
        far = connection.raddr
        if connection.status == psutil.CONN_ESTABLISHED and far and far.port == port and far.ip in addresses:
            return None
    return f"nothing here is connected to the broker at {host}:{port}"


def page_problem(name: str, url: str) -> str | None:
    """None when `url` answers, else what is wrong."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return None
    except OSError as error:
        return f"{name} does not answer at {url}: {error}"


def main(arguments: list[str]) -> int:
    if arguments == ["broker"]:
        problem = broker_problem(get_settings().celery_url())
    elif arguments == ["flower"]:
        problem = page_problem("Flower", FLOWER_HEALTH)
    elif arguments == ["rpc"]:
        # `behind` is an answer, too: a container must not be restarted because the workers are.
        problem = page_problem("The RPC server", f"http://127.0.0.1:{get_settings().rpc_port}/health")
    else:
        print("usage: python -m workers.container_health broker|flower|rpc", file=sys.stderr)
        return 2
    if problem is not None:
        print(problem, file=sys.stderr)
    return int(problem is not None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
