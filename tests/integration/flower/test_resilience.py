"""The tab Resilience as an operator uses it: in a browser, on a real instance, while things go wrong."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from banking.from_settings import open_ledger
from banking.intake.dead_letters import TransactionDeadLetters
from banking.transaction import verify
from config.queues import PROCESS_BATCH
from config.settings import Settings
from recovery.connections import connect
from tests.support.browser import Browser, open_browser
from tests.support.cli.program import PROGRAM, Instance, environment
from tests.support.flower.fetching import fetch
from tests.support.flower.plain import PlainFlower
from tests.support.ledgers import SOL
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.tools import needs
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.processes, pytest.mark.real_redis]

LOGIN = "ops:s3cret"
SENTENCE, FIX = "#tl-sentence", "#tl-fix"


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """`trunkline up` with two workers and a Flower that wants a login."""
    needs("chromium", "chromium")  # before all this is started
    variables = {"FLOWER_BASIC_AUTH": LOGIN, "TRUNKLINE_METRICS_PORT": str(free_port())}
    running = Instance(tmp_path_factory.mktemp("tab") / "data", variables)
    running.start("--workers", "2", "--no-rpc", "--flower-port", str(free_port()))
    yield running
    running.end()


@pytest.fixture(scope="module")
def url(instance: Instance) -> str:
    return str(instance.json("status")["flower_url"])


@pytest.fixture(scope="module")
def browser(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A window of somebody who is logged in."""
    with open_browser(tmp_path_factory.mktemp("browser")) as opened:
        opened.resize(1280, 1100)
        opened.open(url.replace("://", f"://{LOGIN}@") + "/resilience")
        yield opened


@pytest.fixture
def tab(browser: Browser, url: str) -> Browser:
    """The tab, as it is when all is well."""
    browser.open(f"{url}/resilience")
    wait_until(lambda: "All is well" in browser.says(SENTENCE), "all is well")
    return browser


class Camera:
    """Takes the pictures of the documentation when that was asked for."""

    def __init__(self, browser: Browser, *, taking: bool) -> None:
        self.taking = taking
        self._browser = browser

    def __call__(self, name: str) -> None:
        if self.taking:
            self._browser.picture(ROOT / "docs" / "images" / f"{name}.png")


@pytest.fixture
def camera(pytestconfig: pytest.Config, browser: Browser) -> Camera:
    return Camera(browser, taking=pytestconfig.getoption("--pictures"))


@contextmanager
def running_load(instance: Instance) -> Iterator[None]:
    command = [PROGRAM, "load", "--count", "30000", "--accounts", "60", "--rate", "600", "--data", str(instance.folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()) as process:
        try:
            yield
        finally:
            process.terminate()


def number(text: str) -> int:
    return int(text.split(maxsplit=1)[0].replace(",", ""))


def test_under_load_it_shows_what_runs(instance: Instance, tab: Browser, camera: Camera) -> None:
    with running_load(instance):
        wait_until(lambda: "/s" in tab.says("#tl-rate") and number(tab.says("#tl-rate")) > 100, "throughput is shown")
        taken = 40 if camera.taking else 2
        wait_until(lambda: drawn(tab, "#tl-chart-rate .tl-ok") > taken, "the chart grows", timeout=60)
        camera("flower-resilience")
    rows = {row["Worker"].partition("@")[0]: row for row in tab.table("#tl-workers")}
    assert {name: row["Consumes"] for name, row in rows.items()} == {
        "maintenance": "maintenance",
        "tx1": "transactions",
        "tx2": "transactions",
    }
    wait_until(lambda: "incremental" in tab.says("#tl-checkpoints") or "full" in tab.says("#tl-checkpoints"), "it is")
    assert [row["State"] for row in tab.table("#tl-breakers")] == ["closed"]
    assert "Resilience" in tab.says(".app-nav .active")


def drawn(tab: Browser, selector: str) -> int:
    """How many points a line of a chart has."""
    return len(tab.attribute(selector, "points").split())


def values(text: str) -> dict[str, float]:
    """The samples of Prometheus' text, by name and labels as they are written."""
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("trunkline_")]
    return {name: float(value) for name, value in lines}


def scraped(address: str, wanted: Mapping[str, float]) -> dict[str, float]:
    """The samples at `address`, once those `wanted` are among them: Flower shows its newest snapshot."""
    found: dict[str, float] = {}

    def shown() -> bool:
        found.update(values(fetch(address)[1]))
        return wanted.items() <= found.items()

    wait_until(shown, f"{wanted} at {address}")
    return found


def test_metrics_of_every_process_are_at_flower_at_up_and_at_a_worker_of_ones_own(instance: Instance, url: str) -> None:
    assert instance("load", "--count", "200", "--accounts", "10").code == 0
    port, ok = instance.variables["TRUNKLINE_METRICS_PORT"], 'trunkline_outcomes_total{outcome="ok"}'
    processed = instance.json("status")["processed"]
    for address in (f"http://127.0.0.1:{port}/metrics", f"{url}/metrics"):
        found = scraped(address, {ok: processed})
        assert found['trunkline_transactions_total{outcome="ok"}'] == processed
        assert found["trunkline_processed_latency_seconds_count"] >= 4
        assert found["trunkline_processed_latency_seconds_sum"] < 60
        assert found["trunkline_seal_seconds_count"] > 0
        assert found["trunkline_finalized_latency_seconds_count"] > 0
        assert found['trunkline_workers{queue="transactions"}'] == 2
        assert found["trunkline_up"] == 1
        assert found['trunkline_script_calls_total{script="commit"}'] > 0
        assert found['trunkline_script_seconds_total{script="commit"}'] > 0
        assert found['trunkline_broker_messages{queue="transactions"}'] >= 0
        assert found["trunkline_beat_age_seconds"] < 10
        assert found["trunkline_retry_budget"] > 0
    own = free_port()
    command = [sys.executable, "-m", "celery", "-A", "workers.app", "worker", "-Q", "transactions", "-n", "own@%h"]
    variables = {"TRUNKLINE_DATA_DIR": str(instance.folder), "TRUNKLINE_METRICS_PORT": str(own)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(**variables), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as worker:
        try:
            wait_until(lambda: listens(own), "the worker serves its counts")
            sent = 'trunkline_transactions_total{outcome="ok"}'

            def shares() -> bool:
                instance("load", "--count", "500", "--accounts", "10")
                return values(fetch(f"http://127.0.0.1:{own}/metrics")[1]).get(sent, 0) > 0

            wait_until(shares, "what its pool executed is counted")
        finally:
            worker.terminate()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_doctor_finds_what_is_wrong_with_it(instance: Instance) -> None:
    well = instance("doctor")
    assert "ERROR" not in well.out
    assert (well.code, "WARNING  memory" in well.out, "All is well" in well.out) == (0, True, True)
    assert "is signed by a key that is believed" in well.out
    faucet = instance.folder / "faucet.json"
    faucet.chmod(0o644)
    ill = instance("doctor")
    faucet.chmod(0o600)
    assert (ill.code, f"chmod 600 {faucet}" in ill.out) == (1, True)


def test_a_breaker_is_opened_and_reset_by_clicks(instance: Instance, tab: Browser, camera: Camera) -> None:
    tab.press("Open", within="#tl-breakers")
    tab.fill("#tl-dialog-reason", "the disk of the database is replaced")
    tab.press("Open it", within="#tl-dialog")
    told = "Work has stopped: ops (Flower) opened the breaker 'transaction' by hand, for another "
    wait_until(lambda: tab.says(SENTENCE).startswith(told), "it says why work has stopped")
    assert tab.says(SENTENCE).endswith(": the disk of the database is replaced.")
    assert "Reset" in tab.says(FIX)
    wait_until(
        lambda: (
            [row["Why not"] for row in tab.table("#tl-workers") if row["Worker"].startswith("tx")]
            == ["paused: the breaker transaction is not closed"] * 2
        ),
        "both workers take nothing, and say why",
    )
    assert "TrunklineBreakerOpen" in {row["Alert"] for row in tab.table("#tl-alerts")}
    [stored] = instance.json("breaker list")
    assert (stored["state"], stored["override_by"]) == ("open", "ops (Flower)")
    camera("flower-breaker-open")
    tab.press("Reset", within="#tl-breakers")
    wait_until(lambda: "All is well" in tab.says(SENTENCE), "work goes on")


def test_a_mode_is_shown_explained_and_cleared(instance: Instance, tab: Browser, camera: Camera) -> None:
    tab.look("dark")
    tab.press("Set", within="#tl-modes tr:last-child")
    tab.fill("#tl-dialog-reason", "maintenance of the archive")
    tab.press("Set it", within="#tl-dialog")
    wait_until(
        lambda: (
            "transactions is in mode READ_ONLY" in tab.says(SENTENCE)
            and "set by ops (Flower), for another 9 min" in tab.says(SENTENCE)
        ),
        "it says why work has stopped",
    )
    assert "trunkline mode clear transactions" in tab.says(FIX)
    tab.press("Explain", within="#tl-modes tr:last-child")
    wait_until(
        lambda: (
            "WRITE is refused: transactions is READ_ONLY because of the override by ops (Flower)"
            in tab.says("#tl-explained")
        ),
        "it explains",
    )
    assert "(maintenance of the archive)" in instance("mode", "explain", "transactions", "WRITE").out
    camera("flower-read-only")
    tab.press("Clear", within="#tl-entries")
    wait_until(lambda: "All is well" in tab.says(SENTENCE), "work goes on")
    tab.look("light")


def test_a_dead_letter_is_replayed_and_another_dropped_by_clicks(instance: Instance, tab: Browser) -> None:
    given_up = [verify(bytes(instance.signed(instance.faucet(), lamports))) for lamports in (SOL, 2 * SOL)]
    names = [str(one.parsed.signatures[0]) for one in given_up]
    for one in given_up:
        # As a worker does in the end with what kills it each time.
        letters = TransactionDeadLetters(open_ledger(Settings(data_dir=instance.folder)))
        assert letters.add(one.signature, one.raw, "worker died while running it", 3)
    before = instance.json("status")["processed"]

    def row(name: str) -> str:
        shown = [letter["Transaction"] for letter in tab.table("#tl-letters")]
        return f"#tl-letters tbody tr:nth-child({shown.index(name) + 1})" if name in shown else ""

    wait_until(lambda: all(map(row, names)), "both letters are shown")
    assert {letter["Reason"] for letter in tab.table("#tl-letters")} == {"worker died while running it"}
    tab.press("Replay", within=row(names[0]))
    wait_until(lambda: instance.json("status")["processed"] == before + 1, "the replayed one is processed")
    assert instance("trace", names[0]).out.startswith(f"{names[0]}: succeeded")
    wait_until(lambda: not row(names[0]) and row(names[1]), "the other letter is left")

    tab.press("Drop", within=row(names[1]))
    assert instance.json("status")["dead"] == 1, "nothing is dropped before it was confirmed"
    tab.press("Drop it", within="#tl-dialog")
    wait_until(lambda: "No dead letters" in instance("deadletter", "list").out, "it is dropped")
    wait_until(lambda: not tab.table("#tl-letters"), "none is shown")
    gone = instance("trace", names[1], "--search", "1")
    assert (gone.code, "unknown" in gone.out) == (1, True)
    assert instance.json("status")["processed"] == before + 1
    assert instance.json("audit")["ok"]


def test_an_on_chain_error_is_seen_and_a_transaction_is_found(instance: Instance, tab: Browser, url: str) -> None:
    sent = [instance.signed(instance.faucet(), lamports) for lamports in (SOL, 10**18)]
    lines = "\n".join(base64.b64encode(bytes(one)).decode() for one in sent)
    assert instance("submit", "-", "--wait", stdin=lines).code == 1
    good, bad = (str(one.signatures[0]) for one in sent)
    found: list[str] = []

    def listed() -> bool:
        tab.open(f"{url}/tasks?name={PROCESS_BATCH}")
        wait_until(lambda: "Showing" in tab.text() or "No tasks" in tab.text(), "the list is there")
        found[:] = [row["UUID"][:36] for row in tab.table("#tasks-table") if row["State"] == "1 FAILED ON CHAIN"]
        return bool(found)

    wait_until(listed, "the batch is not shown as a plain success")
    tab.open(f"{url}/task/{found[0]}")
    wait_until(lambda: len(tab.table("#tl-batch-table")) == 2, "the batch's transactions are shown")
    outcomes = {row["Signature"]: row["Outcome"] for row in tab.table("#tl-batch-table")}
    assert outcomes == {good: "succeeded", bad: "InstructionError.Custom"}
    assert tab.says("#tl-batch-counts") == "1 succeeded, 1 InstructionError.Custom"

    tab.open(f"{url}/resilience")
    tab.fill("#tl-search input", bad)
    tab.press("Find", within="#tl-search")
    wait_until(lambda: "failed on chain" in tab.text(), "it is found")
    way = {row["Station"]: row for row in tab.table("#tl-way")}
    assert list(way) == ["accepted", "message", "worker", "processed", "block", "finalized"]
    assert way["message"]["What is known"] == f"task {found[0]}"
    assert way["worker"]["What is known"].startswith("tx")
    assert "InstructionError.Custom" in way["processed"]["What is known"]
    assert way["accepted"]["When"] <= way["worker"]["When"]
    assert "insufficient" in tab.says("#tl-logs")

    traced = instance("trace", good)
    assert (traced.code, traced.out.splitlines()[0]) == (0, f"{good}: succeeded, final")
    unknown = instance("trace", "1" * 64, "--search", "1")
    assert (unknown.code, "unknown" in unknown.out) == (1, True)


def test_a_redis_that_hangs_is_told_and_does_not_hang_the_page(instance: Instance, tab: Browser, url: str) -> None:
    with stopped_redis(instance):
        wait_until(lambda: "does not answer" in tab.says(SENTENCE), "it says that Redis does not answer", timeout=10)
        assert "Work has stopped: Redis at unix://" in tab.says(SENTENCE)
        status, body = fetch(f"{url}/resilience/data", login=LOGIN, timeout=2.0)
        assert (status, json.loads(body)["diagnosis"]["level"]) == (200, "stopped")
    wait_until(lambda: "All is well" in tab.says(SENTENCE), "work goes on", timeout=60)


@contextmanager
def stopped_redis(instance: Instance) -> Iterator[None]:
    """The embedded Redis hangs: it takes connections, and answers nothing."""
    with connect(instance.json("status")["redis_url"]) as client:
        info: Any = client.info("server")
    os.kill(info["process_id"], signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(info["process_id"], signal.SIGCONT)


def breaker_state(instance: Instance) -> str:
    """The state of the breaker that work is held by; it may not be in use yet."""
    return next((str(one["state"]) for one in instance.json("breaker list")), "closed")


CHANGE = json.dumps({"name": "transaction", "reason": "because", "for": 60}).encode()
#: What a page sends: the token from the cookie once more.
TOKEN = {"Cookie": "_xsrf=0123456789abcdef0123456789abcdef", "X-XSRFToken": "0123456789abcdef0123456789abcdef"}


def test_a_change_needs_a_login_and_a_token(instance: Instance, url: str) -> None:
    change = f"{url}/resilience/change/breaker-open"
    assert fetch(change, data=CHANGE)[0] in (401, 403)
    assert fetch(change, data=CHANGE, login="ops:wrong", headers=TOKEN)[0] == 401
    assert fetch(change, data=CHANGE, login=LOGIN)[0] == 403
    assert fetch(change, data=CHANGE, login=LOGIN, headers={**TOKEN, "X-XSRFToken": "another"})[0] == 403
    assert fetch(change, data=CHANGE, login=LOGIN, headers={**TOKEN, "Sec-Fetch-Site": "cross-site"})[0] == 403
    assert fetch(f"{url}/resilience/data")[0] == 401
    assert breaker_state(instance) == "closed"
    assert fetch(change, data=b"[1]", login=LOGIN, headers=TOKEN)[0] == 400
    assert fetch(change, data=CHANGE, login=LOGIN, headers=TOKEN)[0] == 200
    assert breaker_state(instance) == "open"
    reset = f"{url}/resilience/change/breaker-reset"
    assert fetch(reset, data=CHANGE, login=LOGIN, headers=TOKEN)[0] == 200


def test_without_a_login_it_is_for_reading_only(instance: Instance, browser: Browser) -> None:
    """And under a url_prefix, started by the plain Celery command."""
    plain = PlainFlower(instance.folder.parent, "--url_prefix=ops/flower", TRUNKLINE_DATA_DIR=str(instance.folder))
    try:
        plain.wait_listening()
        browser.open(f"{plain.url}/ops/flower/workers")
        browser.follow("Resilience")
        wait_until(lambda: "All is well" in browser.says(SENTENCE), "the tab is there")
        assert "no login" in browser.says("#tl-read-only")
        wait_until(lambda: browser.can_press("Explain", within="#tl-modes"), "what only looks can be pressed")
        assert not browser.can_press("Open", within="#tl-breakers")
        assert not browser.can_press("Set", within="#tl-modes")
        refused = fetch(f"{plain.url}/ops/flower/resilience/change/breaker-open", data=CHANGE, headers=TOKEN)
        assert refused[0] == 403
        assert "no login" in refused[1]
        assert breaker_state(instance) == "closed"
    finally:
        plain.kill()
