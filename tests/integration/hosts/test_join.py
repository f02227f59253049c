"""A second host joins by the words of the README: its own network, its own empty folder, and Redis alone in common."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from banking.ledger.worker_registry import WorkerRegistry
from config.instance import read_instance
from recovery.connections import connect
from tests.support.cli.program import PROGRAM, environment
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.redis_servers import MakeRedis
from tests.support.waiting import wait_until
from workers.supervisor.redis_binary import redis_binaries

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

_PASSWORD = "open-sesame"
_PATIENCE = 60.0


def _need_namespaces() -> None:
    why = "" if os.geteuid() == 0 else "only root may make network namespaces"
    why = why or ("" if shutil.which("ip") else "`ip` is missing (Debian: apt-get install iproute2)")
    if why and os.environ.get("CI"):
        pytest.fail(why)
    if why:
        pytest.skip(why)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Process:
    """A command with its output in a file, ended at the end of the test."""

    def __init__(self, log: Path, command: list[str], folder: Path, variables: dict[str, str]) -> None:
        self.log = log
        folder.mkdir(exist_ok=True)
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.output() or self._process.poll() is not None, text, timeout=_PATIENCE)
        assert text in self.output(), self.output()[-3000:]

    def end(self) -> None:
        """SIGINT, and SIGKILL to its group when that is not enough."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()


class TwoHosts:
    """Host A is this machine; host B is a network namespace that reaches A by one wire. Redis listens on A's end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        number = os.getpid() % 60_000
        self._namespace, self._wire = f"tl{number}", f"tla{number}"
        self.address = f"10.213.{number // 250}.{number % 250}"
        self.far_address = f"10.214.{number // 250}.{number % 250}"
        self._processes: list[Process] = []

    def connect(self) -> None:
        ip("netns", "add", self._namespace)
        ip("link", "add", self._wire, "type", "veth", "peer", "name", "up0", "netns", self._namespace)
        ip("addr", "add", self.address, "peer", self.far_address, "dev", self._wire)
        ip("link", "set", self._wire, "up")
        far = ("-n", self._namespace)
        ip(*far, "addr", "add", self.far_address, "peer", self.address, "dev", "up0")
        ip(*far, "link", "set", "up0", "up")
        ip(*far, "link", "set", "lo", "up")

    def start_redis(self) -> None:
        self.port = free_port()
        folder = self.folder / "redis"
        folder.mkdir()
        options = f"--bind {self.address} --port {self.port} --requirepass {_PASSWORD} --appendonly yes --save ''"
        self.run("redis", [redis_binaries()[0].path, *shlex.split(options), "--dir", str(folder)], folder)
        self.url = f"redis://:{_PASSWORD}@{self.address}:{self.port}/0"
        wait_until(self._answers, "Redis answers", timeout=_PATIENCE)

    def _answers(self) -> bool:
        try:
            with connect(self.url) as client:
                return bool(client.ping())
        except Exception:  # noqa: BLE001 - whatever it is, it does not answer yet
            return False

    def run(self, name: str, command: list[str], folder: Path, **variables: str) -> Process:
        process = Process(self.folder / f"{name}.log", command, folder, variables)
        self._processes.append(process)
        return process

    def on_b(self, name: str, words: str) -> Process:
        """Run a line of the README on host B, in an empty folder: `VARIABLE=VALUE ... PROGRAM ARGUMENTS`."""
        line = words.replace(".venv/bin/", f"{Path(sys.executable).parent}/").replace(
            "redis://:secret@host:6379/0", self.url
        )
        inside = ["ip", "netns", "exec", self._namespace, "env", *shlex.split(line)]
        # A worker imports our packages from where they are installed; a wheel does that by itself.
        return self.run(name, inside, self.folder / name, PYTHONPATH=str(ROOT))

    def trunkline(self, *words: str) -> str:
        """A command on host A."""
        answer = subprocess.run(
            [PROGRAM, *words, "--data", str(self.folder / "a")],
            check=False,
            env=environment(TRUNKLINE_REDIS_URL=self.url),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    def registry(self) -> WorkerRegistry:
        return WorkerRegistry(connect(self.url), "main")

    def close(self) -> None:
        for process in reversed(self._processes):
            process.end()
        subprocess.run(["ip", "netns", "del", self._namespace], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", self._wire], check=False, capture_output=True)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[TwoHosts]:
    _need_namespaces()
    made = TwoHosts(tmp_path)
    try:
        made.connect()
        made.start_redis()
        yield made
    finally:
        made.close()


def readme_lines() -> dict[str, str]:
    """The two lines that the README gives for adding workers on another machine."""
    text = (ROOT / "README.md").read_text().partition("**Add workers**")[2]
    block = re.search(r"```\n(.*?)```", text, re.DOTALL)
    assert block is not None
    join, celery = block[1].strip().splitlines()
    return {"join": join.replace("--workers 2", "--workers 1"), "celery": celery}


def test_another_host_joins_by_the_readmes_words_and_takes_work(hosts: TwoHosts) -> None:
    up = hosts.run(
        "a", [PROGRAM, "up", "--workers", "0", "--no-flower", "--no-rpc"], hosts.folder / "a",
        TRUNKLINE_REDIS_URL=hosts.url, TRUNKLINE_DATA_DIR=str(hosts.folder / "a"),
    )  # fmt: skip
    up.wait_for("Ready: ")
    for name, line in readme_lines().items():
        process = hosts.on_b(name, line)
        process.wait_for("Joined: 1 transaction worker consume" if name == "join" else " ready.")
        (worker,) = [one for one in hosts.registry().consuming() if "transactions" in one.queues]
        assert worker.epoch == 1
        # Host A runs no transaction worker: what is processed, B has processed.
        hosts.trunkline("airdrop", str(Keypair().pubkey()), "1000000000")
        seen = process.output() + "".join(log.read_text() for log in (hosts.folder / name).rglob("tx*.log"))
        assert "transactions.process" in seen
        process.end()
        wait_until(
            lambda: not [one for one in hosts.registry().consuming() if "transactions" in one.queues], "B has left"
        )
        left = [path.name for path in (hosts.folder / name).rglob("*") if path.name in ("identity.json", "archive")]
        assert left == [], "nothing of the archive's is made on a host that joins"
    hosts.trunkline("audit")


Join = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def join(tmp_path: Path) -> Join:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, "join", *words, "--data", str(tmp_path / "b")],
            check=False,
            env=environment(),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
        )

    return run


def test_what_is_missing_is_said_before_anything_starts(join: Join, make_redis: MakeRedis, tmp_path: Path) -> None:
    server = make_redis(tcp_port=0)
    bare = re.sub(r":[^@/]*@", "", server.url)
    identity = tmp_path / "identity.json"
    identity.write_text("[]")
    told: list[tuple[tuple[str, ...], int, str]] = [
        ((f"redis://127.0.0.1:{free_port()}/0",), 1, "does not answer this machine"),
        ((bare,), 1, "Redis wants a password"),
        ((server.url,), 1, "has no ledger 'main'. Start its instance first"),
        ((server.url, "--archive", str(tmp_path)), 2, "--archive and --identity go together"),
    ]
    for words, code, text in told:
        answer = join(*words)
        assert (answer.returncode, text in answer.stderr) == (code, True), answer
        assert "Traceback" not in answer.stderr
        assert not (tmp_path / "b").exists()


def test_a_worker_without_the_key_says_so_when_it_shall_seal(make_pipeline: Any) -> None:
    pipeline = make_pipeline()
    elsewhere = str(pipeline.folder / "elsewhere")
    worker = pipeline.start_worker("keeper", queues="transactions,maintenance", ready=False, data_dir=elsewhere)
    wait_until(lambda: not worker.alive(), "it ends", timeout=_PATIENCE)
    assert "there is no identity key" in worker.output()
    assert read_instance(Path(elsewhere)) is None


@pytest.mark.parametrize("has_archive", [False, True])
def test_a_worker_without_the_key_waits_for_the_archives_host_and_says_so(
    make_pipeline: Any, has_archive: bool
) -> None:
    pipeline = make_pipeline()
    options = {"archive_url": pipeline.settings.archive_location()} if has_archive else {}
    worker = pipeline.start_worker("b", ready=False, data_dir=pipeline.folder / "elsewhere", **options)
    registry = WorkerRegistry(pipeline.client, "main")
    wait_until(lambda: bool(registry.live()), "it is in the registry", timeout=_PATIENCE)
    (waiting,) = registry.live()
    assert "no host with the archive has vouched" in waiting.waits
    assert "put the" not in worker.output().lower(), "no object is damaged"
    assert registry.consuming() == []
    pipeline.start_worker("maintenance", queues="maintenance", pool="solo", extra=["-B"])
    worker.wait_ready()
    transactions = pipeline.transfers(20)
    pipeline.submit(transactions)
    pipeline.assert_sound(transactions)
