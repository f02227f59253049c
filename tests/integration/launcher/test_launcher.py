"""A running instance: its processes work together, come back when they die, and leave nothing when it stops."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from config import queues
from config.errors import TrunklineError
from config.instance import read_instance
from config.settings import Settings
from recovery.connections import connect
from tests.support.apps.tiny_client import count, send
from tests.support.flower.table import online
from tests.support.redis_servers import MakeRedis
from tests.support.waiting import gone, wait_until
from workers.supervisor.instance_lock import InstanceRunning
from workers.supervisor.launcher import Launcher
from workers.supervisor.ports import PortInUse

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]

APP = "tests.support.apps.tiny_app"


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """One instance for the tests that leave it as they found it, in a folder whose name tries every URL parser."""
    folder = tmp_path_factory.mktemp("instance") / "my data #1 100%"
    launcher = Launcher(Settings(data_dir=folder), workers=1, flower_port=0, app=APP)
    launcher.start()
    yield launcher
    launcher.stop()


def _tree(pids: dict[str, int | None]) -> list[int]:
    """The processes and all their descendants."""
    found = []
    for pid in pids.values():
        assert pid is not None
        found += [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return found


def _works(launcher: Launcher) -> None:
    before = count(launcher.redis_url, "processed")
    send(launcher.broker_url, queues.PROCESS, 0.0)
    wait_until(lambda: count(launcher.redis_url, "processed") > before, "a transaction worker runs a task")


def test_workers_beat_and_flower_work_together(launcher: Launcher) -> None:
    _works(launcher)
    wait_until(lambda: count(launcher.redis_url, "sealed") and count(launcher.redis_url, "swept"), "beat's tasks run")
    assert launcher.flower_url is not None
    assert launcher.flower_url.startswith("http://127.0.0.1:")
    wait_until(
        lambda: set(online(str(launcher.flower_url))) == {"tx1", "maintenance"}, "Flower shows the workers online"
    )
    pid = launcher.pids()["flower"]
    assert {c.laddr.ip for c in psutil.Process(pid).net_connections("inet") if c.status == "LISTEN"} == {"127.0.0.1"}


def test_the_note_tells_where_everything_is(launcher: Launcher) -> None:
    folder = launcher.log_folder.parent
    note = read_instance(folder)
    assert note == launcher.note()
    assert note["pid"] == os.getpid()
    assert note["workers"] == 1
    assert note["ledger"] == "main"
    assert Settings(data_dir=folder).ledger_url() == launcher.redis_url
    names = {path.name for path in launcher.log_folder.iterdir()}
    assert names >= {"redis.log", "tx1.log", "maintenance.log", "beat.log", "flower.log"}


def test_second_launcher_on_the_folder_is_refused_and_harms_nothing(launcher: Launcher) -> None:
    folder = launcher.log_folder.parent
    with pytest.raises(InstanceRunning, match=rf"pid {os.getpid()}.*--data"):
        Launcher(Settings(data_dir=folder), app=APP).start()
    assert read_instance(folder) == launcher.note()
    _works(launcher)


def test_killed_worker_dies_with_its_pool_and_comes_back(launcher: Launcher) -> None:
    _works(launcher)
    before = _tree({"tx1": launcher.worker_pids()[0]})
    assert len(before) >= 2  # the pool child is there
    pid = launcher.kill_worker(0)
    assert pid == before[0]
    wait_until(lambda: all(gone(pid) for pid in before), "worker and pool child are dead")
    wait_until(lambda: launcher.worker_pids()[0] not in (None, pid), "the worker is restarted")
    _works(launcher)


def test_busy_pool_children_are_ended_when_only_the_main_process_dies(launcher: Launcher) -> None:
    _works(launcher)
    pid = launcher.worker_pids()[0]
    assert pid is not None
    pool = [child.pid for child in psutil.Process(pid).children()]
    send(launcher.broker_url, queues.PROCESS, 600.0)
    with connect(launcher.redis_url) as client:
        wait_until(lambda: client.hlen("unacked") > 0, "the task is with the worker")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: all(gone(child) for child in pool), "the pool child that was busy is dead")
        client.delete("unacked", "unacked_index")  # or the task would come back
    wait_until(lambda: launcher.worker_pids()[0] not in (None, pid), "the worker is restarted")
    _works(launcher)


def test_killed_redis_comes_back_at_its_address_with_its_data(launcher: Launcher) -> None:
    with connect(launcher.redis_url) as client:
        client.set("kept", "yes")
    pid = launcher.pids()["redis"]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: launcher.pids()["redis"] not in (None, pid), "Redis is restarted")
    wait_until(lambda: count(launcher.redis_url, "processed", default=-1) >= 0, "Redis answers")
    with connect(launcher.redis_url) as client:
        assert client.get("kept") == b"yes"
    _works(launcher)


def test_lost_guard_is_replaced_and_still_knows_every_process(launcher: Launcher) -> None:
    # Not any guard of this process: other servers of the test session have theirs.
    lost = launcher._running().guard.pid
    os.kill(lost, signal.SIGKILL)
    wait_until(lambda: launcher._running().guard.pid != lost, "a new guard")
    _works(launcher)


def test_scaling_up_and_down(launcher: Launcher) -> None:
    launcher.scale(2)
    first, second = launcher.worker_pids()
    assert first is not None
    assert second is not None
    assert launcher.note()["workers"] == 2
    wait_until(lambda: "tx2" in online(str(launcher.flower_url)), "the new worker shows in Flower")
    for _ in range(10):
        send(launcher.broker_url, queues.PROCESS, 0.2)
    wait_until(lambda: online(str(launcher.flower_url))["tx2"].get("task-succeeded"), "the new worker takes work")
    launcher.scale(1)
    assert launcher.worker_pids() == [first]
    assert gone(second)
    note = read_instance(launcher.log_folder.parent)
    assert note is not None
    assert note["workers"] == 1


def test_stop_leaves_nothing_and_state_survives_a_restart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    prepared: list[str] = []
    launcher = Launcher(settings, workers=1, redis_tcp_port=0, flower_port=0, app=APP, prepare=prepared.append)
    launcher.start()
    _works(launcher)
    assert prepared == [launcher.redis_url]
    url = launcher.flower_url
    assert url is not None
    ports = [int(url.rsplit(":", 1)[1]), int(launcher.redis_url.rsplit(":", 1)[1].split("/")[0])]
    with connect(launcher.redis_url) as client:
        client.set("kept", "yes")
    # Not all children of this process: the module's instance may be starting some of its own.
    started = {*_tree(launcher.pids()), launcher._running().guard.pid}
    assert len(started) >= 7  # guard, Redis, two workers with their pools, beat, Flower
    launcher.stop()
    assert "Killed" not in caplog.text  # all of them ended by themselves
    assert [pid for pid in started if psutil.pid_exists(pid)] == []
    for port in ports:
        assert _listens_nowhere(port)
    assert {path.name for path in settings.data_dir.iterdir()} == {"log", "redis"}
    assert not list((settings.data_dir / "redis").glob("*.sock"))

    again = Launcher(settings, workers=0, flower=False, app=APP)
    again.start()
    with connect(again.redis_url) as client:
        assert client.get("kept") == b"yes"
    again.stop()


def _listens_nowhere(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_running_tasks_end_before_their_worker_does(tmp_path: Path, make_redis: MakeRedis) -> None:
    server = make_redis()
    launcher = Launcher(
        Settings.from_variables(data_dir=tmp_path / "data", redis_url=server.url), workers=1, flower=False, app=APP
    )
    launcher.start()
    assert "redis" not in launcher.pids()
    _works(launcher)
    send(launcher.broker_url, queues.PROCESS, 1.0)
    with connect(server.url) as client:
        wait_until(lambda: client.hlen("unacked") > 0, "the task is with the worker")
    launcher.stop()
    assert count(server.url, "processed") == 2


def test_busy_ports_that_were_asked_for_are_named_and_nothing_stays(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=f"Port {port} .*Flower"):
            Launcher(Settings(data_dir=tmp_path), flower_port=port, app=APP).start()
        with pytest.raises(PortInUse, match=f"Port {port} .*Redis"):
            Launcher(Settings(data_dir=tmp_path), redis_tcp_port=port, flower=False, app=APP).start()
    assert not (tmp_path / "lock").exists()
    assert not (tmp_path / "instance.json").exists()


def test_external_redis_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    settings = Settings.from_variables(data_dir=tmp_path, redis_url="redis://:secret@127.0.0.1:1/0")
    with pytest.raises(TrunklineError, match=r"TRUNKLINE_REDIS_URL.*127\.0\.0\.1:1") as caught:
        Launcher(settings, app=APP).start()
    assert "secret" not in str(caught.value)


def test_failing_preparation_leaves_nothing(tmp_path: Path) -> None:
    def fail(url: str) -> None:
        raise TrunklineError("no genesis")

    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with pytest.raises(TrunklineError, match="no genesis"):
        Launcher(Settings(data_dir=tmp_path), prepare=fail, app=APP).start()
    assert {child.pid for child in psutil.Process().children(recursive=True)} == before
    assert {path.name for path in tmp_path.iterdir()} == {"log", "redis"}


def test_unusable_data_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrunklineError, match="file"):
        Launcher(Settings(data_dir=tmp_path / "file" / "data"), app=APP).start()


def test_note_is_json_for_other_programs(launcher: Launcher) -> None:
    text = (launcher.log_folder.parent / "instance.json").read_text()
    assert json.loads(text)["redis_url"] == launcher.redis_url
