"""One JSON-RPC request over HTTP, from the ASGI messages of its body to those of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from rpc.jsonrpc.dispatch import Dispatcher, Reply, encode_error
from rpc.jsonrpc.errors import Overloaded, RpcError, invalid_request

#: Tells that an answer was true at its `context.slot` but could not be renewed.
STALE_HEADER = "X-Trunkline-Stale"
_CONTENT_TYPE = (b"content-type", b"application/json; charset=utf-8")
#: As Agave says it.
_WRONG_KIND = "Supplied content type is not allowed. Content-Type: application/json is required\n"
#: A client has this long to send the body of a request.
_BODY_SECONDS = 10.0
#: Bytes of an answer that are handed to the network at a time.
_PIECE_BYTES = 64 * 1024
#: Bytes per second; a client that reads a large answer more slowly is cut off.
_MIN_READ_RATE = 512 * 1024


class _Gone(Exception):
    """The client left before its request was whole."""


class PostEndpoint:
    """The ASGI application behind `POST /`.

    Every call comes through here, and what a framework puts around one costs more than most answers: so it speaks ASGI.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A browser sends other kinds to anybody without asking; for this one it asks first (CORS).
        if not _is_json(scope["headers"]):
            await PlainTextResponse(_WRONG_KIND, 415)(scope, receive, send)
            return
        try:
            # Only whole requests count as at work: half ones that never end must not use up the places.
            async with asyncio.timeout(_BODY_SECONDS):
                body = await self._body(receive)
        except RpcError as error:
            await _refuse(send, error, 413)
            return
        except TimeoutError:
            await _refuse(send, invalid_request("The request did not come to its end"), 408)
            return
        except _Gone:
            await Response(status_code=400)(scope, receive, send)
            return
        try:
            self._dispatcher.limits.begin()
        except Overloaded as error:
            await _refuse(send, error, 429)
            return
        try:
            reply = await self._dispatcher.answer(body, address_in(scope))
        finally:
            self._dispatcher.limits.end()
        await _send(send, reply)

    async def _body(self, receive: Receive) -> bytes:
        limit = self._dispatcher.settings.rpc.body_limit
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise _Gone
            part = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise invalid_request(f"The request is too large: at most {limit} bytes")
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)


def address_in(scope: Scope) -> str:
    """The network address of the client."""
    client = scope.get("client")
    return client[0] if client is not None else ""


def _is_json(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    for name, value in headers:
        if name == b"content-type":
            return value.partition(b";")[0].strip().lower() == b"application/json"
    return False


async def _refuse(send: Send, error: RpcError, status: int) -> None:
    await _send(send, Reply([encode_error(error, None)], status, error.retry_after))


async def _send(send: Send, reply: Reply) -> None:
    """Answer with `reply`, and close it."""
    if not reply.parts:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    size = reply.size
    headers = [(b"content-length", b"%d" % size), _CONTENT_TYPE]
    if reply.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, round(reply.retry_after))))
    if reply.stale:
        headers.append((STALE_HEADER.lower().encode(), b"true"))
    start = {"type": "http.response.start", "status": reply.status, "headers": headers}
    if size <= _PIECE_BYTES:
        await send(start)
        await send({"type": "http.response.body", "body": b"".join(reply.parts)})
        return
    try:
        # A client that reads more slowly holds bytes that other answers need; the server then drops the connection.
        async with asyncio.timeout(_BODY_SECONDS + size / _MIN_READ_RATE):
            await send(start)
            # Each piece is sent once the client has read what was before it.
            for piece in _pieces(reply.parts):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
    finally:
        reply.close()


def _pieces(parts: list[bytes]) -> Iterator[bytes]:
    """`parts` in pieces that are neither tiny nor large."""
    waiting: list[bytes] = []
    size = 0
    for part in parts:
        for first in range(0, len(part), _PIECE_BYTES):
            piece = part[first : first + _PIECE_BYTES]
            waiting.append(piece)
            size += len(piece)
            if size >= _PIECE_BYTES:
                yield b"".join(waiting)
                waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
