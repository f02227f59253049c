"""deploy/compose/redis.sh and sentinel.sh, with the shell and a real Redis: what the containers run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from workers.supervisor.redis_binary import redis_binaries

pytestmark = [pytest.mark.real_redis]


class Servers:
    """Starts the scripts, each in a folder of its own."""

    def __init__(self, folder: Path, processes: ExitStack) -> None:
        self._folder = folder
        self._processes = processes
        self.programs = folder / "bin"
        self.programs.mkdir()
        (self.programs / "redis-server").symlink_to(redis_binaries()[0].path)
        subprocess.run([ROOT / "deploy/compose/make-secrets", folder / "secrets"], check=True, capture_output=True)
        self.password = (folder / "secrets/redis_password").read_text()

    def start(self, script: str, name: str, *options: str, **environment: str) -> int:
        """Run a script until the test is over; its port. Repeated with the same name, its data are the same."""
        data, port = self._folder / name, free_port()
        data.mkdir(exist_ok=True)
        process = subprocess.Popen(
            ["sh", ROOT / "deploy/compose" / script, *options, *(["--port", str(port)] if options else [])],
            env={
                "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
                "DATA": str(data),
                "SECRETS": str(self._folder / "secrets"),
                "RUNTIME": str(data),
                "PORT": str(port),
                **environment,
            },
            stdout=subprocess.DEVNULL,
        )
        self._processes.callback(process.wait)
        self._processes.callback(process.kill)
        wait_until(lambda: process.poll() is not None or self._answers(port), f"{name} answers", 60)
        assert process.poll() is None
        return port

    def client(self, port: int) -> redis.Redis:
        client: redis.Redis = redis.Redis(port=port, password=self.password, socket_timeout=10)
        self._processes.callback(client.close)
        return client

    def _answers(self, port: int) -> bool:
        try:
            return bool(self.client(port).ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with ExitStack() as processes:
        yield Servers(tmp_path, processes)


def test_they_have_a_password_and_a_sentinel_finds_the_copy(servers: Servers, tmp_path: Path) -> None:
    port = servers.start("redis.sh", "primary", "--appendonly", "yes", "--maxmemory-policy", "noeviction")
    primary = servers.client(port)
    assert primary.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    assert servers.password not in Path(f"/proc/{primary.info('server')['process_id']}/cmdline").read_text()

    copy = servers.client(
        servers.start("redis.sh", "copy", "--appendonly", "yes", REPLICA_OF="localhost", PRIMARY_PORT=str(port))
    )
    primary.set("key", "value")
    wait_until(lambda: copy.get("key") == b"value", "the copy follows, with the password")

    sentinel = servers.client(
        servers.start("sentinel.sh", "sentinel", PRIMARY="localhost", PRIMARY_PORT=str(port), ANNOUNCE="localhost")
    )
    wait_until(lambda: sentinel.info("sentinel")["master0"]["slaves"] == 1, "the Sentinel finds the copy")
    assert sentinel.info("sentinel")["master0"]["status"] == "ok"
    assert sentinel.info("sentinel")["master0"]["name"] == "trunkline"


def test_who_is_primary_is_remembered_over_a_restart(servers: Servers, tmp_path: Path) -> None:
    """What Sentinel decided is written into the file, and a container that comes back must not undo it."""
    (tmp_path / "copy").mkdir()
    copy = servers.client(servers.start("redis.sh", "copy", "--appendonly", "yes", REPLICA_OF="127.0.0.1"))
    assert copy.info("replication")["role"] == "slave"
    assert copy.replicaof("NO", "ONE")
    assert copy.config_rewrite()
    copy.shutdown(nosave=True)
    again = servers.client(servers.start("redis.sh", "copy", "--appendonly", "yes", REPLICA_OF="127.0.0.1"))
    assert again.info("replication")["role"] == "master"
