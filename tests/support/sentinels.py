"""Two Redis servers and the three Sentinels that watch them, as ordinary processes with passwords."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import redis

from tests.support.ports import free_port
from tests.support.waiting import wait_until
from workers.supervisor.redis_binary import redis_binaries

_PASSWORD = "of-the-servers"
_OF_SENTINELS = "of-the-sentinels"
_NAME = "trunkline-test"


class Server:
    """One process of redis-server, whose data and port stay over restarts."""

    def __init__(self, folder: Path, configuration: str, password: str, *options: str) -> None:
        folder.mkdir(parents=True)
        self.port = free_port()
        self._folder, self._options, self.password = folder, options, password
        (folder / "redis.conf").write_text(f"port {self.port}\nbind 127.0.0.1\ndir {folder}\n{configuration}")
        self.start()

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [redis_binaries()[0].path, str(self._folder / "redis.conf"), *self._options], stdout=log, stderr=log
            )
        wait_until(self.answers, f"the server answers\n{self._folder / 'log'}")

    def client(self) -> redis.Redis:
        client: redis.Redis = redis.Redis(port=self.port, password=self.password, socket_timeout=10)
        return client

    def answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.BusyLoadingError:
                return False
            except (redis.ConnectionError, redis.TimeoutError):
                assert self._process.poll() is None, (self._folder / "log").read_text()
                return False

    def role(self) -> str:
        with self.client() as client:
            return str(client.info("replication")["role"])

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Fleet:
    """`servers` has two, of which the first is the primary at the start. Each Sentinel knows the others by then."""

    def __init__(self, folder: Path) -> None:
        both = f"requirepass {_PASSWORD}\nmasterauth {_PASSWORD}\nappendonly yes\nrepl-diskless-sync-delay 0\n"
        self.servers = [Server(folder / "server0", both, _PASSWORD)]
        self.servers.append(
            Server(folder / "server1", f"{both}replicaof 127.0.0.1 {self.servers[0].port}\n", _PASSWORD)
        )
        watch = (
            f"requirepass {_OF_SENTINELS}\nsentinel sentinel-pass {_OF_SENTINELS}\n"
            f"sentinel monitor {_NAME} 127.0.0.1 {self.servers[0].port} 2\nsentinel auth-pass {_NAME} {_PASSWORD}\n"
            f"sentinel down-after-milliseconds {_NAME} 3000\nsentinel failover-timeout {_NAME} 10000\n"
        )
        self.sentinels = [Server(folder / f"sentinel{n}", watch, _OF_SENTINELS, "--sentinel") for n in range(3)]
        wait_until(lambda: all(map(self._is_informed, self.sentinels)), "each Sentinel knows all the others")

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"sentinel://:{_PASSWORD}@{hosts}/0?master_name={_NAME}&sentinel_password={_OF_SENTINELS}"

    def fail_over(self) -> None:
        """As an operator does it, both servers being well; returns once they have changed places."""
        roles = [server.role() for server in self.servers]
        with self.sentinels[0].client() as client:
            client.execute_command("SENTINEL", "FAILOVER", _NAME)
        wait_until(lambda: [server.role() for server in self.servers] == roles[::-1], "they have changed places")

    def close(self) -> None:
        for server in (*self.sentinels, *self.servers):
            server.kill()

    @staticmethod
    def _is_informed(sentinel: Server) -> bool:
        with sentinel.client() as client:
            facts = client.info("sentinel")["master0"]
        return (facts["status"], facts["slaves"], facts["sentinels"]) == ("ok", 1, 3)


@contextlib.contextmanager
def running_fleet(folder: Path) -> Iterator[Fleet]:
    fleet = Fleet(folder)
    try:
        yield fleet
    finally:
        fleet.close()
