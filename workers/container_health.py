"""Health checks that run inside a container: `python -m workers.container_health broker|flower|rpc`, and for workers
`python -m workers.container_health worker NAME QUEUE`, where health means that it consumes.

Exit code 0 when healthy, 1 with the reason on standard error when not, 2 for wrong usage.
"""

from __future__ import annotations

import socket
import sys
import urllib.request
from collections.abc import Sequence
from urllib.parse import urlsplit

import psutil
import redis

from banking.ledger.worker_registry import MAX_AGE, WorkerRegistry, WorkerStatus
from config.addresses import is_amqp
from config.queues import TRANSACTIONS
from config.settings import get_settings
from recovery.connections import connect
from recovery.sentinels import is_sentinel, primary_address
from tasks.runtime import runtime

FLOWER_HEALTH = "http://127.0.0.1:5555/healthcheck"


def broker_problem(url: str) -> str | None:
    """None when a process of this container holds a TCP connection to the broker, else what is wrong.

    Beat answers no questions, but it publishes several times a second over a lasting connection; without one it is
    idle or stuck.
    """
    try:
        host, port = _server_of(url)
    except redis.ConnectionError as error:
        return f"the Sentinels name no primary: {error}"
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError as error:
        return f"the broker's name {host} is unknown: {error}"
    for connection in psutil.net_connections("tcp"):
        far = connection.raddr
        if connection.status == psutil.CONN_ESTABLISHED and far and far.port == port and far.ip in addresses:
            return None
    return f"nothing here is connected to the broker at {host}:{port}"


def _server_of(url: str) -> tuple[str, int]:
    """Host and port of the broker. Raises `redis.ConnectionError` where Sentinels should know it, and do not."""
    if is_sentinel(url):
        return primary_address(url)
    parts = urlsplit(url)
    return parts.hostname or "localhost", parts.port or (5672 if is_amqp(url) else 6379)


def page_problem(name: str, url: str) -> str | None:
    """None when `url` answers, else what is wrong."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return None
    except OSError as error:
        return f"{name} does not answer at {url}: {error}"


def worker_problem(workers: Sequence[WorkerStatus], name: str, queue: str, *, held: bool) -> str | None:
    """None when worker `name` consumes `queue`, else why it does not, as far as the registry of all workers tells.

    `held` says that the gate of the queue is closed for the whole fleet: then taking nothing is what a healthy worker
    does. An answer to `inspect ping` says none of this: a worker that waits for its ledger gives it, too.
    """
    mine = next((worker for worker in workers if worker.name == name), None)
    if mine is None:
        return f"{name} has given no sign of life for {MAX_AGE:g} s: it is starting, has lost Redis, or hangs"
    if mine.waits:
        return f"{name} takes nothing: {mine.waits}"
    if queue in mine.queues or held:
        return None
    return f"{name} does not take from {queue}, only from {', '.join(mine.queues) or 'no queue'}"


def ask_worker(name: str, queue: str) -> str | None:
    """`worker_problem` of this moment."""
    settings = get_settings()
    try:
        with connect(settings.ledger_url(), timeout=settings.redis.timeout) as client:
            workers = WorkerRegistry(client, settings.ledger.name).live()
    except redis.RedisError as error:
        return f"the ledger's Redis does not answer: {error}"
    return worker_problem(workers, name, queue, held=queue == TRANSACTIONS and not runtime().may_process())


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["worker"] and len(arguments) == 3:
        problem = ask_worker(*arguments[1:])
    elif arguments == ["broker"]:
        problem = broker_problem(get_settings().broker_url())
    elif arguments == ["flower"]:
        problem = page_problem("Flower", FLOWER_HEALTH)
    elif arguments == ["rpc"]:
        # `behind` is an answer, too: a container must not be restarted because the workers are.
        problem = page_problem("The RPC server", f"http://127.0.0.1:{get_settings().rpc.port}/health")
    else:
        print("usage: python -m workers.container_health broker|flower|rpc|worker NAME QUEUE", file=sys.stderr)
        return 2
    if problem is not None:
        print(problem, file=sys.stderr)
    return int(problem is not None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
