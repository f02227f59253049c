"""The embedded Redis server: what its user can rely on."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis

from config.errors import TrunklineError
from config.sections import Fsync
from recovery.connections import connect
from tests.support.redis_servers import MakeRedis
from tests.support.waiting import gone, wait_until

pytestmark = pytest.mark.real_redis


def test_state_survives_stop_and_start(make_redis: MakeRedis) -> None:
    server = make_redis()
    with connect(server.url) as client:
        client.set("kept", "yes")
    url = server.url
    server.restart()
    assert server.url == url
    with connect(server.url) as client:
        assert client.get("kept") == b"yes"


def test_every_acknowledged_write_survives_a_kill_with_fsync_always(make_redis: MakeRedis) -> None:
    server = make_redis(fsync=Fsync.ALWAYS)
    with connect(server.url) as client:
        for number in range(500):
            client.set(f"key{number}", number)
    server.kill()
    assert server.pid is None
    server.restart()
    with connect(server.url) as client:
        assert client.dbsize() == 500


def test_torn_tail_of_the_append_only_file_is_dropped(make_redis: MakeRedis) -> None:
    server = make_redis(fsync=Fsync.ALWAYS)
    with connect(server.url) as client:
        client.set("whole", "yes")
    server.kill()
    appended = max(server.folder.rglob("*.aof"), key=lambda path: path.stat().st_mtime)
    with appended.open("ab") as stream:
        stream.write(b"*3\r\n$3\r\nSET\r\n$4\r\ntorn\r\n$100\r\nhal")
    server.restart()
    with connect(server.url) as client:
        assert client.get("whole") == b"yes"
        assert client.get("torn") is None


def test_it_is_configured_for_a_ledger(make_redis: MakeRedis) -> None:
    server = make_redis(fsync=Fsync.ALWAYS, maxmemory=64 * 2**20)
    with connect(server.url) as client:
        expected = {
            "appendonly": "yes",
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
            "maxmemory": str(64 * 2**20),
            "save": "",
        }
        assert {name: client.config_get(name)[name] for name in expected} == expected


def test_full_memory_refuses_writes_and_keeps_data(make_redis: MakeRedis) -> None:
    server = make_redis(maxmemory=8 * 2**20)
    with connect(server.url) as client:
        client.set("first", "kept")
        with pytest.raises(redis.OutOfMemoryError):
            _fill(client)
        assert client.get("first") == b"kept"


def _fill(client: redis.Redis) -> None:
    for number in range(20):
        client.set(f"big{number}", b"x" * 2**20)


def test_unix_socket_is_private_and_no_port_is_open(make_redis: MakeRedis) -> None:
    server = make_redis()
    path = Path(server.url.removeprefix("unix://"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert server.pid is not None
    listening = [c for c in psutil.Process(server.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert listening == []


def test_long_folder_gets_a_short_private_socket_that_stop_removes(tmp_path: Path, make_redis: MakeRedis) -> None:
    server = make_redis(tmp_path / ("long" * 30))
    path = Path(server.url.removeprefix("unix://"))
    assert len(os.fsencode(path)) <= 100
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    server.stop()
    assert not path.parent.exists()
    server.restart()
    with connect(server.url) as client:
        assert client.ping()


def test_tcp_is_loopback_with_a_password_that_no_command_line_shows(make_redis: MakeRedis) -> None:
    server = make_redis(tcp_port=0)
    assert server.pid is not None
    listening = {c.laddr for c in psutil.Process(server.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN}
    assert {address.ip for address in listening} == {"127.0.0.1"}
    port = next(iter(listening)).port
    with connect(f"redis://127.0.0.1:{port}") as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    password = server.url.split("@")[0].removeprefix("redis://:")
    assert len(password) >= 32
    assert password not in " ".join(psutil.Process(server.pid).cmdline())
    assert stat.S_IMODE((server.folder / "redis.conf").stat().st_mode) == 0o600


def test_busy_port_is_named_with_the_log(make_redis: MakeRedis) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(TrunklineError, match=rf"(?s){port}.*in use"):
            make_redis(tcp_port=port)


def test_stop_leaves_no_process_and_no_socket(make_redis: MakeRedis) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    server = make_redis()
    started = {child.pid for child in psutil.Process().children(recursive=True)} - before
    assert server.pid in started
    assert len(started) == 2  # the server and its guard
    path = Path(server.url.removeprefix("unix://"))
    server.stop()
    assert not any(psutil.pid_exists(pid) for pid in started)
    assert not path.exists()
    assert server.pid is None


def test_server_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    program = (
        "import sys, time; from pathlib import Path; from workers.supervisor.embedded_redis import EmbeddedRedis\n"
        "server = EmbeddedRedis(Path(sys.argv[1])); server.start(); print(server.pid, server.url, flush=True)\n"
        "time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid, url = owner.stdout.readline().split()
    assert psutil.pid_exists(int(pid))
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    wait_until(lambda: gone(int(pid)), "the orphaned server ends")
    socket_folder = Path(url.removeprefix("unix://")).parent
    wait_until(lambda: not socket_folder.exists(), "the short socket folder is removed")


def test_broken_data_gives_the_end_of_the_log(tmp_path: Path, make_redis: MakeRedis) -> None:
    server = make_redis(tmp_path / "data", fsync=Fsync.ALWAYS)
    with connect(server.url) as client:
        client.set("key", "value")
    server.stop()
    for path in server.folder.rglob("*.aof"):
        path.write_bytes(b"this is not an append-only file\r\n" + path.read_bytes())
    with pytest.raises(TrunklineError, match=r"(?s)ended at once.*append only file"):
        server.start()
