"""A RabbitMQ for tests: Debian's `rabbitmq-server` as an ordinary process that leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection

from tests.support.ports import free_port
from tests.support.waiting import wait_until

#: The script itself; the one on the PATH wants to be run by a user of its own.
_SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def require_rabbitmq() -> None:
    """Without it a laptop skips; in CI that would be a hole in the gate, so it fails."""
    if _SCRIPT.exists() and shutil.which("epmd"):
        return
    reason = "there is no RabbitMQ here (Debian: apt install rabbitmq-server)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def running_rabbitmq(folder: Path) -> Iterator[str]:
    """A server on loopback with its data, cookie and logs in `folder`; hands out its `amqp://` URL."""
    folder.mkdir(parents=True)
    port, epmd_port, talk_port = free_port(), free_port(), free_port()
    (folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\nloopback_users = none\n")
    (folder / "enabled_plugins").write_text("[].\n")
    environment = {
        "PATH": os.environ["PATH"],
        # Where Erlang keeps the cookie by which its nodes know each other.
        "HOME": str(folder),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(epmd_port),
        "RABBITMQ_NODENAME": f"t{secrets.token_hex(4)}@localhost",
        "RABBITMQ_DIST_PORT": str(talk_port),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
    }
    url = f"amqp://guest:guest@127.0.0.1:{port}//"
    with (folder / "out.log").open("wb") as output, contextlib.ExitStack() as processes:

        def start(*command: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                command,
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            processes.callback(_end, process)
            return process

        # Erlang would start one by itself, which would stay.
        start("epmd", "-address", "127.0.0.1", "-port", str(epmd_port))
        wait_until(lambda: _listens(epmd_port), "epmd listens")
        server = start(str(_SCRIPT))
        wait_until(lambda: server.poll() is not None or _answers(url), f"RabbitMQ answers\n{folder / 'out.log'}", 90)
        assert server.poll() is None, (folder / "out.log").read_text()
        yield url


def _end(process: subprocess.Popen[bytes]) -> None:
    """Erlang's helpers live in the server's group and end with it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(url: str) -> bool:
    try:
        with Connection(url, connect_timeout=1) as connection:
            connection.connect()
    except OSError:
        return False
    return True
