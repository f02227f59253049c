"""The health checks of containers say yes and no for the right reason."""

from __future__ import annotations

import socket
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from banking.ledger.worker_registry import WorkerStatus
from workers.container_health import broker_problem, main, page_problem, worker_problem


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


def test_a_worker_is_healthy_when_it_consumes_and_else_says_why_not() -> None:
    taking = WorkerStatus("tx@here", 1, ("transactions",), 1, 0.0)
    waiting = WorkerStatus("tx@there", 2, (), 1, 0.0, "no host with the archive has vouched for it")
    gated = WorkerStatus("tx@gated", 3, (), 1, 0.0)
    registry = [taking, waiting, gated]

    def problem(name: str, *, queue: str = "transactions", held: bool = False) -> str:
        return worker_problem(registry, name, queue, held=held) or ""

    assert problem("tx@here") == ""
    assert "no sign of life" in problem("tx@nobody")
    assert problem("tx@there", held=True) == "tx@there takes nothing: no host with the archive has vouched for it"
    assert problem("tx@gated", held=True) == "", "a closed gate is no illness"
    assert "only from no queue" in problem("tx@gated")
    assert "only from transactions" in problem("tx@here", queue="maintenance")
