"""100,000 malformed requests against a real server: `python -m tests.chaos.rpc_fuzz [--requests N] [--seed N]`.

Hypothesis makes the bodies; they go out over HTTP, mixed with bytes that are no HTTP at all. Each well-formed HTTP
request must get a JSON-RPC answer that is no internal error, and the server may not grow or fall silent.
"""

from __future__ import annotations

import argparse
import http.client
import random
import socket
import sys
import tempfile
import warnings
from pathlib import Path

import psutil
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import HypothesisWarning

from tests.support.rpc.requests import bodies, check_answer
from tests.support.rpc.stack import Stack, running_stack

#: Growth of the server's memory that caches and the ledger itself explain (bytes).
_MOST_GROWTH = 150 * 2**20


class Client:
    """One keep-alive connection, opened again when the server closes it."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._connection = self._open()
        self.sent = 0

    def post(self, body: bytes) -> None:
        """Send one body and check its answer."""
        self.sent += 1
        if self.sent % 50 == 0:
            self._send_garbage()
        try:
            self._connection.request("POST", "/", body, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
        except (http.client.HTTPException, ConnectionError):
            self._connection = self._open()
            self._connection.request("POST", "/", body)
            answer = self._connection.getresponse()
        text = answer.read()
        assert answer.status in (200, 204, 413, 429), (answer.status, body, text)
        if answer.status != 204:
            check_answer(body, text)

    def _send_garbage(self) -> None:
        rng = random.Random(self.sent)
        heads = (b"", b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n", b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n")
        with socket.create_connection(("127.0.0.1", self._stack.http_port), timeout=5) as raw:
            raw.sendall(rng.choice(heads) + rng.randbytes(rng.randrange(200)))

    def _open(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._stack.http_port, timeout=30)


def fuzz(stack: Stack, requests: int, start: int) -> int:
    """Send them; returns how much the server's memory grew (bytes) after the first tenth."""
    client = Client(stack)
    server = psutil.Process(stack.processes["rpc"].pid)
    before = 0

    def run(count: int, number: int) -> None:
        @seed(number)
        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(body=bodies)
        def post(body: bytes) -> None:
            client.post(body)

        post()

    # Hypothesis slows down over very long runs, so it starts anew now and then.
    step = max(1, min(requests // 10, 5_000))
    while client.sent < requests:
        run(step, start + client.sent)
        before = before or server.memory_info().rss
        print(f"{client.sent} requests, {server.memory_info().rss / 2**20:.0f} MiB", flush=True)
    return int(server.memory_info().rss - before)


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    warnings.simplefilter("ignore", HypothesisWarning)
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder) / "stack") as stack:
        grown = fuzz(stack, options.requests, options.seed)
        stack.wait_healthy(10)
        bugs = "Traceback" in (stack.folder / "rpc.log").read_text()
    if bugs or grown > _MOST_GROWTH:
        print(f"a traceback in the log: {bugs}; grown by {grown} bytes", file=sys.stderr)
    return int(bugs or grown > _MOST_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
