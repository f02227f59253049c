"""The HTTP side: origins, sizes, and bytes that are no HTTP."""

from __future__ import annotations

import http.client
import json
import socket

import pytest

from tests.integration.rpc.conftest import MakeServed
from tests.integration.rpc.served import Served

_CALL = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "getVersion"}).encode()


def _send(served: Served, method: str, path: str, body: bytes, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    return connection.getresponse()


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        ("", "https://app.example", None),
        ("*", "https://app.example", "*"),
        ("https://app.example", "https://app.example", "https://app.example"),
        ("https://app.example", "https://other.example", None),
    ],
)
def test_browsers_are_let_in_from_the_origins_that_are_set(
    make_served: MakeServed, origins: str, origin: str, allowed: str | None
) -> None:
    served = make_served(rpc_cors_origins=origins)
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
