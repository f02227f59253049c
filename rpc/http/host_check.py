"""Which requests are accepted: the host names of this server, and the origins whose pages may use it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from config.settings import Settings

_ANY = "*"
#: Names of this server that are remembered: clients choose them.
_MOST_REMEMBERED = 1_000
#: ASGI extension to refuse a websocket with a response; without it a server can only close.
_DENIAL_RESPONSE = "websocket.http.response"


class HostCheck:
    """Refuses, before anything is read, what a browser was tricked into sending.

    A page whose own name was pointed at this server's address (DNS rebinding) counts as one origin with it, and no
    CORS header holds it back: only the Host header differs. An address as the Host cannot have been rebound. Browsers
    open websockets to any server, so there the Origin is checked as well.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], origins: Iterable[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._origins = frozenset(origins)
        #: Values of the header that were found good, so that each is looked at once.
        self._good: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if not refusal:
            await self._app(scope, receive, send)
        elif scope["type"] == "http" or _DENIAL_RESPONSE in scope.get("extensions", {}):
            await PlainTextResponse(refusal, 403)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "forbidden"})

    def _refusal(self, scope: Scope) -> str:
        # HTTP/1.0 has none; a browser always sends it.
        for name, value in scope["headers"]:
            if name == b"host" and value not in self._good and not self._is_good(value):
                host = value.decode("latin-1")
                return (
                    f"This server does not go by the name {host[:100]!r}. "
                    "Name it in TRUNKLINE_RPC_ALLOWED_HOSTS, or use localhost or an address.\n"
                )
        if scope["type"] == "websocket":
            for origin in Headers(scope=scope).getlist("origin"):
                if _ANY not in self._origins and origin not in self._origins:
                    return f"Pages of {origin[:100]!r} may not use this server: see TRUNKLINE_RPC_CORS_ORIGINS.\n"
        return ""

    def _is_good(self, value: bytes) -> bool:
        if not self._is_allowed(value.decode("latin-1")):
            return False
        if len(self._good) < _MOST_REMEMBERED:
            self._good.add(value)
        return True

    def _is_allowed(self, host: str) -> bool:
        if _ANY in self._hosts:
            return True
        name = _name_in(host)
        if name == "localhost" or name.endswith(".localhost") or _is_address(name):
            return True
        return name in self._hosts or any(name.endswith(allowed) for allowed in self._hosts if allowed.startswith("."))


def allowed_hosts(settings: Settings) -> list[str]:
    """The names of the setting, in lower case; `.example.org` stands for every name below it."""
    return [name.strip().lower() for name in settings.rpc.allowed_hosts.split(",") if name.strip()]


def _name_in(host: str) -> str:
    """The name of a Host header without its port, "" when it is none."""
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
        return name if not port or port.startswith(":") else ""
    return host.partition(":")[0].rstrip(".").lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
