"""The ASGI application: JSON-RPC over HTTP, and websockets on the same port."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Lifespan, Receive, Scope, Send
from starlette.websockets import WebSocket

from config.settings import Settings
from rpc.http.host_check import HostCheck, allowed_hosts
from rpc.jsonrpc.dispatch import Dispatcher, Reply, encode_error, parse
from rpc.jsonrpc.errors import Overloaded, RpcError, invalid_request
from rpc.websocket.connection import Connection
from rpc.websocket.hub import Hub

_JSON = "application/json; charset=utf-8"
#: Tells that an answer was true at its `context.slot` but could not be renewed.
STALE_HEADER = "X-Trunkline-Stale"
#: As Agave says it.
_WRONG_KIND = "Supplied content type is not allowed. Content-Type: application/json is required\n"
_TOO_MANY = 1008
#: A client has this long to send the body of a request.
_BODY_SECONDS = 10.0
#: Bytes of an answer that are handed to the network at a time.
_PIECE_BYTES = 64 * 1024
#: Bytes per second; a client that reads a large answer more slowly is cut off.
_MIN_READ_RATE = 512 * 1024


def create_app(dispatcher: Dispatcher, hub: Hub, lifespan: Lifespan[Starlette]) -> Starlette:
    """The application that answers with `dispatcher` and notifies with `hub`, both started and ended in `lifespan`."""
    endpoints = _Endpoints(dispatcher, hub)
    routes = [
        Route("/", endpoints.post, methods=["POST"]),
        Route("/health", endpoints.health, methods=["GET"]),
        WebSocketRoute("/", endpoints.websocket),
    ]
    return Starlette(routes=routes, lifespan=lifespan, middleware=_middleware(dispatcher.settings))


def _middleware(settings: Settings) -> list[Middleware]:
    origins = settings.cors_origins()
    host_check = Middleware(HostCheck, hosts=allowed_hosts(settings), origins=origins)
    if not origins:
        return [host_check]
    return [
        host_check,
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["POST", "GET"],
            allow_headers=["*"],
            expose_headers=[STALE_HEADER],
            max_age=86400,
        ),
    ]


class _Endpoints:
    def __init__(self, dispatcher: Dispatcher, hub: Hub) -> None:
        self._dispatcher = dispatcher
        self._hub = hub

    async def post(self, request: Request) -> Response:
        """One JSON-RPC request."""
        # A browser sends other kinds to anybody without asking; for this one it asks first (CORS).
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return PlainTextResponse(_WRONG_KIND, 415)
        try:
            # Only whole requests count as at work: half ones that never end must not use up the places.
            async with asyncio.timeout(_BODY_SECONDS):
                body = await self._body(request)
        except RpcError as error:
            return _refused(error, 413)
        except TimeoutError:
            return _refused(invalid_request("The request did not come to its end"), 408)
        except ClientDisconnect:
            return Response(status_code=400)
        try:
            self._dispatcher.limits.begin()
        except Overloaded as error:
            return _refused(error, 429)
        try:
            return _response(await self._dispatcher.answer(body, address_of(request)))
        finally:
            self._dispatcher.limits.end()

    async def _body(self, request: Request) -> bytes:
        limit = self._dispatcher.settings.rpc.body_limit
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise invalid_request(f"The request is too large: at most {limit} bytes")
            parts.append(part)
        return b"".join(parts)

    async def health(self, _: Request) -> Response:
        """As Agave: `ok`, `behind` or `unknown` in plain text."""
        reply = await self._dispatcher.answer(b'{"jsonrpc":"2.0","id":1,"method":"getHealth"}', "")
        health = parse(reply.body or b"{}")
        if health.get("result") == "ok":
            return PlainTextResponse("ok")
        slots = ((health.get("error") or {}).get("data") or {}).get("numSlotsBehind")
        return PlainTextResponse("unknown" if slots is None else "behind", status_code=503)

    async def websocket(self, socket: WebSocket) -> None:
        address = address_of(socket)
        if not self._dispatcher.limits.connect(address):
            await socket.close(_TOO_MANY, "too many connections from your address")
            return
        try:
            await Connection(self._dispatcher, self._hub, socket, address).serve()
        finally:
            self._dispatcher.limits.disconnect(address)


def address_of(source: Request | WebSocket) -> str:
    """The network address of the client."""
    return source.client.host if source.client is not None else ""


class _Answer(Response):
    """An answer in pieces, each sent once the client has read what was before it; closes the reply at the end."""

    def __init__(self, reply: Reply, headers: dict[str, str]) -> None:
        self._reply = reply
        self.status_code, self.background, self.body = reply.status, None, b""
        self.init_headers(headers | {"Content-Length": str(reply.size), "Content-Type": _JSON})

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        try:
            # A client that reads more slowly holds bytes that other answers need; the server then drops the connection.
            async with asyncio.timeout(_BODY_SECONDS + self._reply.size / _MIN_READ_RATE):
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                for piece in _pieces(self._reply.parts):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        finally:
            self._reply.close()


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


def _refused(error: RpcError, status: int) -> Response:
    return _response(Reply([encode_error(error, None)], status, error.retry_after))


def _response(reply: Reply) -> Response:
    if not reply.parts:
        return Response(status_code=204)
    headers = {}
    if reply.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(reply.retry_after)))
    if reply.stale:
        headers[STALE_HEADER] = "true"
    if reply.size > _PIECE_BYTES:
        return _Answer(reply, headers)
    return Response(reply.body, reply.status, headers, media_type=_JSON)
