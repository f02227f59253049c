"""The ASGI application: JSON-RPC over HTTP, and websockets on the same port."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Lifespan, Receive, Scope, Send
from starlette.websockets import WebSocket

from config.settings import Settings
from rpc.http.host_check import HostCheck, allowed_hosts
from rpc.http.post import STALE_HEADER, PostEndpoint, address_in
from rpc.jsonrpc.dispatch import Dispatcher, parse
from rpc.websocket.connection import Connection
from rpc.websocket.hub import Hub

_TOO_MANY = 1008


def create_app(dispatcher: Dispatcher, hub: Hub, lifespan: Lifespan[Starlette]) -> Starlette:
    """The application that answers with `dispatcher` and notifies with `hub`, both started and ended in `lifespan`."""
    return _Application(dispatcher, hub, lifespan)


class _Application(Starlette):
    """Routes and middleware for browsers, websockets and mistakes; plain calls go straight to their endpoint."""

    def __init__(self, dispatcher: Dispatcher, hub: Hub, lifespan: Lifespan[Starlette]) -> None:
        endpoints = _Endpoints(dispatcher, hub)
        post = PostEndpoint(dispatcher)
        routes = [
            Route("/", post, methods=["POST"]),
            Route("/health", endpoints.health, methods=["GET"]),
            WebSocketRoute("/", endpoints.websocket),
        ]
        settings = dispatcher.settings
        super().__init__(routes=routes, lifespan=lifespan, middleware=_middleware(settings))
        self._plain_call = HostCheck(post, hosts=allowed_hosts(settings), origins=settings.cors_origins())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _is_plain_call(scope):
            await self._plain_call(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _is_plain_call(scope: Scope) -> bool:
    """Whether this is a call without an Origin: no CORS header is due, and there is one place where it can go."""
    if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != "/":
        return False
    return all(name != b"origin" for name, _ in scope["headers"])


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

    async def health(self, _: Request) -> Response:
        """As Agave: `ok`, `behind` or `unknown` in plain text."""
        reply = await self._dispatcher.answer(b'{"jsonrpc":"2.0","id":1,"method":"getHealth"}', "")
        health = parse(reply.body or b"{}")
        if health.get("result") == "ok":
            return PlainTextResponse("ok")
        slots = ((health.get("error") or {}).get("data") or {}).get("numSlotsBehind")
        return PlainTextResponse("unknown" if slots is None else "behind", status_code=503)

    async def websocket(self, socket: WebSocket) -> None:
        address = address_in(socket.scope)
        if not self._dispatcher.limits.connect(address):
            await socket.close(_TOO_MANY, "too many connections from your address")
            return
        try:
            await Connection(self._dispatcher, self._hub, socket, address).serve()
        finally:
            self._dispatcher.limits.disconnect(address)
