"""The other side: a card service that is often unwell. Standard library only; a process of its own.

What it does depends on the card: `good` works at once; `slow-start` answers 503 with Retry-After twice; `dropped`
closes the connection once without an answer, after it has charged; `declined` is refused for good; `broken` always
answers 500. A charge with a known Idempotency-Key is not charged again.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

RETRY_AFTER_SECONDS = 0.3


class Books:
    """What was asked and what was charged, by idempotency key."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.requests: Counter[str] = Counter()
        self.charged: Counter[str] = Counter()


BOOKS = Books()


class CardService(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key, card = self.headers["Idempotency-Key"], order["card"]
        with BOOKS.lock:
            BOOKS.requests[key] += 1
            time_asked = BOOKS.requests[key]
            unwell = card == "broken" or (card == "slow-start" and time_asked <= 2)
            if not unwell and card != "declined" and not BOOKS.charged[key]:
                BOOKS.charged[key] += 1
        if card == "dropped" and time_asked == 1:
            self.close_connection = True
            return
        if card == "declined":
            self._answer(402, {"error": "card declined"})
        elif card == "broken":
            self._answer(500, {"error": "internal error"})
        elif unwell:
            self._answer(503, {"error": "try later"}, {"Retry-After": str(RETRY_AFTER_SECONDS)})
        else:
            self._answer(200, {"charged": order["cents"]})

    def do_GET(self) -> None:
        with BOOKS.lock:
            books = {"requests": dict(BOOKS.requests), "charged": dict(BOOKS.charged)}
        self._answer(200, books)

    def _answer(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the worker's log tells the story."""


def main() -> None:
    """Serve on a free loopback port, named on standard output, until standard input is closed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), CardService)
    print(server.server_address[1], flush=True)
    from threading import Thread

    Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # our starter is gone when this ends
    server.shutdown()


if __name__ == "__main__":
    main()
