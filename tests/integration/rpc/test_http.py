"""The HTTP side: origins, sizes, and bytes that are no HTTP."""

from __future__ import annotations

import http.client
import json
import socket
from typing import cast

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.support.rpc.served import MakeServed, Served

_CALL = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "getVersion"}).encode()


def _send(served: Served, method: str, path: str, body: bytes, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, sent)
    return connection.getresponse()


@pytest.mark.parametrize(
    ("options", "origin", "allowed"),
    [
        ({}, "https://app.example", "*"),
        ({"profile": "prod"}, "https://app.example", None),
        ({"rpc_cors_origins": ""}, "https://app.example", None),
        ({"rpc_cors_origins": "https://app.example", "profile": "prod"}, "https://app.example", "https://app.example"),
        ({"rpc_cors_origins": "https://app.example"}, "https://other.example", None),
    ],
    ids=["dev", "prod", "none", "one", "another"],
)
def test_browsers_are_let_in_from_the_origins_that_are_set(
    make_served: MakeServed, options: dict[str, str], origin: str, allowed: str | None
) -> None:
    served = make_served(**options)
    asked = _send(
        served,
        "OPTIONS",
        "/",
        b"",
        Origin=origin,
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="content-type,solana-client",
    )
    assert asked.getheader("access-control-allow-origin") == allowed
    answer = _send(served, "POST", "/", _CALL, Origin=origin, Content_Type="application/json")
    assert answer.status == 200
    assert answer.getheader("access-control-allow-origin") == allowed
    # Browsers ask nobody before they open a websocket, so the server must look.
    opened = _opened(served, origin=origin)
    assert opened is (allowed is not None)
    assert _opened(served)


def _opened(served: Served, origin: str | None = None, host: str | None = None) -> bool:
    """Whether a websocket could be opened and answers."""
    headers = {"Host": host} if host is not None else {}
    try:
        with connect(served.ws_url, origin=cast("Origin | None", origin), additional_headers=headers) as socket:
            socket.send(_CALL.decode())
            return "result" in json.loads(socket.recv(10))
    except InvalidStatus as error:
        assert error.response.status_code == 403
        return False


def test_a_page_cannot_reach_in_by_a_form(served: Served) -> None:
    """What a browser sends to anybody without asking: a POST of plain text."""
    for kind in ("text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", ""):
        answer = _send(served, "POST", "/", _CALL, Origin="https://evil.example", Content_Type=kind)
        assert answer.status == 415
        assert b"application/json is required" in answer.read()
    assert _send(served, "POST", "/", _CALL, Content_Type="application/json; charset=utf-8").status == 200
    assert _send(served, "POST", "/", _CALL, Content_Type="Application/JSON").status == 200


def test_a_name_that_was_rebound_does_not_reach_in(make_served: MakeServed) -> None:
    served = make_served(rpc_allowed_hosts="rpc.internal, .example.org")
    for host in (
        "evil.example",
        "evil.example:8899",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "[::1].x",
        "",
    ):
        answer = _send(served, "POST", "/", _CALL, Host=host)
        assert answer.status == 403, host
        assert b"TRUNKLINE_RPC_ALLOWED_HOSTS" in answer.read()
        assert not _opened(served, host=host)
        assert _send(served, "GET", "/health", b"", Host=host).status == 403
    for host in (
        "localhost",
        "LOCALHOST:8899",
        "x.localhost:1",
        "127.0.0.1:8899",
        "[::1]:8899",
        "192.168.1.7",
        "rpc.internal:1",
        "a.example.org",
    ):
        assert _send(served, "POST", "/", _CALL, Host=host).status == 200, host
    assert _opened(served, host="rpc.internal")


def test_a_request_may_not_be_too_large(make_served: MakeServed) -> None:
    served = make_served(rpc_body_limit=4096)
    answer = _send(served, "POST", "/", b" " * 5000)
    assert answer.status == 413
    assert json.loads(answer.read())["error"]["code"] == -32600


def test_calls_without_an_id_get_no_answer(served: Served) -> None:
    body = json.dumps({"jsonrpc": "2.0", "method": "getVersion"}).encode()
    answer = _send(served, "POST", "/", body)
    assert (answer.status, answer.read()) == (204, b"")


def test_bytes_that_are_no_http_hurt_nobody(served: Served) -> None:
    for raw in (
        b"\x00\xff" * 200,
        b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n" * 50,
    ):
        with socket.create_connection(("127.0.0.1", served.port), timeout=5) as client:
            client.sendall(raw)
    # Half a request, and then nothing.
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
        assert _send(served, "POST", "/", _CALL).status == 200
    assert _send(served, "GET", "/", b"").status == 405
