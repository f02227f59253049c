"""The health checks of containers say yes and no for the right reason."""

from __future__ import annotations

import socket
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from workers.container_health import broker_problem, main, page_problem


def test_a_connection_to_the_broker_is_healthy_and_its_loss_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as broker:
        port = broker.getsockname()[1]
        url = f"redis://:secret@127.0.0.1:{port}/0"
        problem = broker_problem(url)
        assert problem is not None
        assert f"127.0.0.1:{port}" in problem
        assert "secret" not in problem
        with socket.create_connection(("127.0.0.1", port)):
            assert broker_problem(url) is None


def test_unknown_broker_name_is_said() -> None:
    problem = broker_problem("redis://no-such-host.invalid:6379/0")
    assert problem is not None
    assert "no-such-host.invalid" in problem


class _Ok(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def test_page_answers_or_not() -> None:
    with HTTPServer(("127.0.0.1", 0), _Ok) as server:
        url = f"http://127.0.0.1:{server.server_port}/healthcheck"
        Thread(target=server.handle_request).start()
        assert page_problem("Flower", url) is None
    problem = page_problem("Flower", url)
    assert problem is not None
    assert url in problem


def test_wrong_usage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["beat"]) == 2
    assert "usage" in capsys.readouterr().err
