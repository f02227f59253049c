"""A server that speaks enough of Redis' protocol to answer scripts, and that fails as it is told."""

from __future__ import annotations

import select
import socketserver
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

#: What the server may do with the next EVALSHA: an error it answers with, or
#: "reply" (its last argument), "cut" (close, unanswered), "half" (close within the reply), "late" (answer once the
#: client has gone on: it closed the connection, or asked the next thing), "close" (answer, then close).
Fault = str


@dataclass
class ScriptedRedis:
    """Listens at `url`, and never answers a command that ends in "silence".

    Takes one fault from `plan` for each EVALSHA; `asked` are the last arguments that it was sent.
    """

    url: str = ""
    plan: list[Fault] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)
    connections: int = 0
    #: The clients' ends of connections whose reply is held back, and of those that close after their reply.
    late: set[object] = field(default_factory=set)
    closing: set[object] = field(default_factory=set)


@contextmanager
def scripted_redis(plan: Sequence[Fault]) -> Iterator[ScriptedRedis]:
    """The server, for as long as the context lasts."""
    state = ScriptedRedis(plan=list(plan))

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            state.connections += 1
            try:
                while (command := _read_command(self.rfile)) is not None:
                    if not self._answer(command):
                        return
            except OSError:
                return

        def _answer(self, command: list[bytes]) -> bool:
            if command[-1] == b"silence":
                return True
            if command[0].upper() != b"EVALSHA":
                # Of the handshake; CLIENT SETINFO and SELECT are fine.
                hello = b"%2\r\n+server\r\n+redis\r\n+proto\r\n:3\r\n"
                self.wfile.write(hello if command[0].upper() == b"HELLO" else b"+OK\r\n")
                return True
            fault = state.plan.pop(0) if state.plan else "reply"
            state.asked.append(command[-1])
            reply = b"$%d\r\n%s\r\n" % (len(command[-1]), command[-1])
            if fault == "late":
                state.late.add(self.client_address)
                select.select([self.connection], [], [])
                state.late.discard(self.client_address)
            if fault == "close":
                state.closing.add(self.client_address)
            if fault == "cut":
                return False
            if fault == "half":
                self.wfile.write(reply[:-3])
                return False
            if fault in ("reply", "late", "close"):
                self.wfile.write(reply)
                return fault != "close"
            self.wfile.write(f"-{fault}\r\n".encode())
            return True

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        state.url = f"redis://127.0.0.1:{server.server_address[1]}/0"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


def _read_command(stream: BinaryIO | Any) -> list[bytes] | None:
    header = stream.readline()
    if not header:
        return None
    parts = []
    for _ in range(int(header[1:])):
        size = int(stream.readline()[1:])
        parts.append(stream.read(size + 2)[:size])
    return parts
