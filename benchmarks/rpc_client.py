"""A small HTTP client for the load generator: pipelines nothing, parses little, keeps its connections."""

from __future__ import annotations

import asyncio


class HttpConnection(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionError("closed"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(rest) < length or self._answer is None:
            return
        self._buffer = b""
        if not self._answer.done():
            self._answer.set_result(rest)

    async def post(self, body: bytes) -> bytes:
        """The body of the answer."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % len(body) + body)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Pool:
    """`size` connections to one server."""

    def __init__(self, connections: list[HttpConnection]) -> None:
        self._all = connections
        self._free: asyncio.Queue[HttpConnection] = asyncio.Queue()
        for connection in connections:
            self._free.put_nowait(connection)

    @classmethod
    async def open(cls, port: int, size: int) -> Pool:
        loop = asyncio.get_running_loop()
        made = [await loop.create_connection(HttpConnection, "127.0.0.1", port) for _ in range(size)]
        return cls([protocol for _, protocol in made])

    async def post(self, body: bytes) -> bytes:
        connection = await self._free.get()
        try:
            return await connection.post(body)
        finally:
            self._free.put_nowait(connection)

    def close(self) -> None:
        for connection in self._all:
            connection.close()
