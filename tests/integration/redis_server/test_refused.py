"""A Redis that refuses us: no password, a wrong one, a user who may not; each said in words that help."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click.testing
import pytest

from config.settings import get_settings
from recovery.connections import connect
from tests.support.cli.program import environment
from workers.cli.program import main
from workers.supervisor.embedded_redis import EmbeddedRedis

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A Redis with a password, and a user `reader` who may only read."""
    server = EmbeddedRedis(tmp_path_factory.mktemp("redis"), tcp_port=0)
    server.start()
    with connect(server.url) as client:
        client.acl_setuser("reader", enabled=True, passwords=["+pw"], categories=["+@read"], keys=["*"])
    found = urlsplit(server.url).port
    assert found is not None
    yield found
    server.stop()


NO_PASSWORD, WRONG = "Redis wants a password", "Redis refuses the password"
CASES = {"no password": ("", NO_PASSWORD), "wrong password": (":wrong@", WRONG), "unknown user": ("nobody:pw@", WRONG)}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "command", ["status", "up --no-flower --no-rpc", "init", "breaker list", "mode list", "deadletter list"]
)
@pytest.mark.usefixtures("plain")
def test_a_command_says_what_is_missing(port: int, monkeypatch: pytest.MonkeyPatch, case: str, command: str) -> None:
    login, words = CASES[case]
    told = refused(command, login, port, monkeypatch)
    assert words in told
    assert "TRUNKLINE_REDIS_URL" in told


@pytest.mark.usefixtures("plain")
def test_a_user_who_may_not_write_is_told_which_command(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "does not let the URL's user do this" in refused("init", "reader:pw@", port, monkeypatch)
    assert "'ping' command" in refused("up --no-flower --no-rpc", "reader:pw@", port, monkeypatch)


def refused(command: str, login: str, port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a command says on standard error when its Redis refuses it."""
    monkeypatch.setenv("TRUNKLINE_REDIS_URL", f"redis://{login}127.0.0.1:{port}/0")
    get_settings.cache_clear()
    monkeypatch.setattr("tasks.runtime._runtime", None)
    result = click.testing.CliRunner().invoke(main, command.split())
    assert result.exit_code == 1, result.stdout
    for word in ("HELLO", "bug", "wrong@", ":pw@", "Traceback"):
        assert word not in result.stderr
    return result.stderr


@pytest.mark.parametrize("case", ["no password", "wrong password"])
def test_a_worker_started_by_hand_says_it_and_ends(port: int, tmp_path: Path, case: str) -> None:
    login, words = CASES[case]
    answer = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "workers.app", "worker", "-Q", "transactions", "-c", "1"],
        env=environment(TRUNKLINE_REDIS_URL=f"redis://{login}127.0.0.1:{port}/0", TRUNKLINE_DATA_DIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert answer.returncode != 0
    assert words in answer.stderr
    assert "Traceback" not in answer.stderr
