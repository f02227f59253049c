"""Flower as an operator sees it: in a browser, under load, started in both ways, over both kinds of broker."""

from __future__ import annotations

import base64
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest
from celery import Celery

from config.queues import PROCESS_BATCH, TRANSACTIONS
from config.settings import Settings
from recovery.connections import connect
from tests.support.browser import Browser, open_browser
from tests.support.cli.program import PROGRAM, Instance, environment
from tests.support.flower.plain import END, PlainFlower
from tests.support.ledgers import SOL
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.tools import needs
from tests.support.waiting import gone, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.real_redis]

WORKERS = ("tx1", "tx2", "tx3")
#: The page has an id in full and, for narrow screens, its beginning once more.
ID_LENGTH = 36


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module", params=["unix", "tcp"])
def instance(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """`trunkline up` with three workers, on a Unix socket or on TCP."""
    needs("chromium", "chromium")  # before all this is started
    running = Instance(tmp_path_factory.mktemp(request.param) / "data")
    over_tcp = ["--redis-port", "0"] if request.param == "tcp" else []
    running.start("--workers", str(len(WORKERS)), "--no-rpc", "--flower-port", str(free_port()), *over_tcp)
    yield running
    running.end()


@pytest.fixture(scope="module")
def plain(instance: Instance) -> Iterator[PlainFlower]:
    started = PlainFlower(instance.folder.parent, TRUNKLINE_DATA_DIR=str(instance.folder))
    yield started
    started.kill()


@pytest.fixture(params=["up", "plain"])
def url(request: pytest.FixtureRequest, instance: Instance) -> str:
    """The address of a Flower that `up` started, and of one that the plain Celery command did."""
    if request.param == "up":
        return str(instance.json("status")["flower_url"])
    started: PlainFlower = request.getfixturevalue("plain")
    started.wait_listening()
    return started.url


def workers(browser: Browser) -> dict[str, dict[str, str]]:
    """The rows of the page of workers, by the first part of their names."""
    return {row["Worker"].partition("@")[0]: row for row in browser.table("#workers-table")}


def processed(browser: Browser) -> list[int]:
    """How many tasks each transaction worker has processed, as the page says."""
    rows = workers(browser)
    return [int(rows[name]["Processed"].replace(",", "")) if name in rows else 0 for name in WORKERS]


@pytest.fixture
def camera(pytestconfig: pytest.Config, browser: Browser) -> Callable[..., None]:
    """Takes the pictures of the documentation when that was asked for."""

    def take(name: str, ready: Callable[[], bool] = lambda: True) -> None:
        if pytestconfig.getoption("--pictures"):
            wait_until(ready, "something to see")
            browser.picture(ROOT / "docs" / "images" / f"{name}.png")

    return take


def test_workers_are_online_tasks_are_listed_and_counts_grow(
    instance: Instance, url: str, browser: Browser, camera: Callable[..., None]
) -> None:
    browser.open(f"{url}/workers")
    wait_until(
        lambda: [workers(browser)[name]["Status"] for name in WORKERS if name in workers(browser)] == ["Online"] * 3,
        "three workers are online",
    )
    with running_load(instance):
        # The same page, which refreshes itself.
        wait_until(lambda: min(processed(browser)) > 0, "every worker has processed something")
        before = processed(browser)
        wait_until(
            lambda: all(now > then for now, then in zip(processed(browser), before, strict=True)), "all counts grow"
        )
        camera("flower-workers", lambda: min(processed(browser)) >= 60)
        wait_until(lambda: len(tasks(browser, f"{url}/tasks?name={PROCESS_BATCH}")) >= 10, "tasks are listed")
        camera("flower-tasks")
    rows = browser.table("#tasks-table")
    assert {row["Name"] for row in rows} == {PROCESS_BATCH}
    assert {row["State"] for row in rows} <= {"SUCCESS", "STARTED", "RECEIVED"}
    assert {row["Worker"].partition("@")[0] for row in rows} <= set(WORKERS)
    # It asks that worker eight things at once.
    browser.open(f"{url}/worker/{rows[0]['Worker']}")
    browser.wait_for("Max concurrency")


def test_failed_work_looks_failed(instance: Instance, browser: Browser) -> None:
    """Garbage beside a good transaction: its task has failed and says why, and nothing of it comes again."""
    before = instance.json("status")
    url = before["flower_url"]
    good = base64.b64encode(bytes(instance.signed(instance.faucet(), SOL))).decode()
    with Celery(broker=Settings(data_dir=instance.folder).celery_url(), set_as_current=False) as stranger:
        sent = stranger.send_task(PROCESS_BATCH, [["%%%", good]], queue=TRANSACTIONS)
    wait_until(lambda: sent.id in failures(browser, url), "its task has failed")
    row = failures(browser, url)[sent.id]
    assert (row["Name"], row["State"]) == (PROCESS_BATCH, "FAILURE")
    assert "1 committed, 1 malformed: not base64" in row["Result"]
    browser.open(f"{url}/task/{sent.id}")
    browser.wait_for("trunkline deadletter list")
    browser.open(f"{url}/workers")
    wait_until(lambda: sum(int(row["Failed"]) for row in workers(browser).values()) == 1, "the workers' count says so")
    assert instance.json("status")["dead"] == before["dead"] + 1
    with connect(before["redis_url"]) as client:
        wait_until(
            lambda: (
                not any(
                    sent.id.encode() in message
                    for message in (*client.hvals("unacked"), *client.lrange(TRANSACTIONS, 0, -1))
                )
            ),
            "its message is gone",
        )


def tasks(browser: Browser, url: str) -> list[dict[str, str]]:
    """The rows of a page of tasks, opened anew: it does not refresh itself."""
    browser.open(url)
    wait_until(lambda: "Showing" in browser.text() or "No tasks" in browser.text(), "the list is there")
    return browser.table("#tasks-table")


def failures(browser: Browser, url: str) -> dict[str, dict[str, str]]:
    """The failed tasks by their ids."""
    return {row["UUID"][:ID_LENGTH]: row for row in tasks(browser, f"{url}/tasks?state=FAILURE")}


@contextmanager
def running_load(instance: Instance) -> Iterator[None]:
    """`trunkline load` beside the test, ended with it: more than any test waits for."""
    command = [PROGRAM, "load", "--count", "300000", "--accounts", "60", "--rate", "1000"]
    with subprocess.Popen(
        [*command, "--data", str(instance.folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    ) as process:
        try:
            yield
            assert process.poll() is None, "the load ended too early"
        finally:
            process.terminate()


def test_flower_ends_soon_when_told_to(instance: Instance, plain: PlainFlower) -> None:
    assert instance.process is not None
    [child] = [
        one for one in psutil.Process(instance.process.pid).children(recursive=True) if "flower" in one.cmdline()
    ]
    began = time.monotonic()
    child.terminate()
    wait_until(lambda: gone(child.pid), "the Flower of `up` ends", timeout=4 * END)
    assert time.monotonic() - began < END
    plain.wait_listening()
    assert plain.end() < END
