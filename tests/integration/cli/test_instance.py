"""`trunkline up` and the commands beside it, on one real instance."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from solders.keypair import Keypair

from banking.from_settings import open_ledger
from banking.intake.dead_letters import TransactionDeadLetters
from banking.transaction import verify
from config.settings import Settings
from tests.support.cli.program import PROGRAM, Instance, environment
from tests.support.flower.table import online
from tests.support.ledgers import SOL
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.processes, pytest.mark.real_redis]


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """One instance for most tests. The last of them ends it."""
    running = Instance(tmp_path_factory.mktemp("cli") / "data")
    running.start("--workers", "2")
    yield running
    if running.process is not None and running.process.poll() is None:
        running.end()


def ledger_id(text: str) -> str:
    """The id that `init` and `up` print."""
    return text.partition("(id ")[2].partition(")")[0]


def listening(url: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((urlsplit(url).hostname, urlsplit(url).port)) == 0


def test_status_names_everything(instance: Instance) -> None:
    facts = instance.json("status")
    queues = sorted(queue for worker in facts["workers"] for queue in worker["queues"])
    assert queues == ["maintenance", "transactions", "transactions"]
    assert all(psutil.pid_exists(worker["pid"]) and worker["epoch"] == 1 for worker in facts["workers"])
    assert facts["redis_url"].startswith("unix://")
    assert facts["broker_url"].startswith("unix://")
    wait_until(lambda: set(online(facts["flower_url"])) == {"tx1", "tx2", "maintenance"}, "Flower shows them online")
    wait_until(lambda: instance.json("status")["slot"] > facts["slot"] + 1, "slots advance")


def test_money_moves(instance: Instance, tmp_path: Path) -> None:
    source, target = Keypair(), str(Keypair().pubkey())
    file = tmp_path / "source.json"
    file.write_text(source.to_json())
    given = instance("airdrop", str(source.pubkey()), str(SOL))
    assert given.code == 0, given.err
    moved = instance("transfer", "--from", str(file), "--to", target, "--lamports", "10000000")
    assert moved.code == 0, moved.err
    assert instance("balance", target).out == "10000000 lamports\n"
    failed = instance("transfer", "--from", str(file), "--to", target, "--lamports", str(5 * SOL))
    assert failed.code == 1
    assert "insufficient lamports" in failed.err
    assert instance("balance", str(source.pubkey())).out == f"{SOL - 10_000_000 - 2 * 5000} lamports\n"


def test_submit_lines_of_every_kind(instance: Instance) -> None:
    good = bytes(instance.signed(instance.faucet(), SOL))
    forged = good[:5] + bytes([good[5] ^ 1]) + good[6:]
    poor = bytes(instance.signed(Keypair(), SOL))
    raws = [good, good, forged, poor]
    text = "# four transactions\n" + "".join(base64.b64encode(raw).decode() + "\n" for raw in raws) + "garbage!\n"
    answer = instance("submit", "-", "--wait", stdin=text)
    assert answer.code == 1, answer.err
    assert "line 3: duplicate" in answer.out
    assert "line 4: rejected: SignatureFailure" in answer.out
    assert "line 5: refused without a fee" in answer.out
    assert "line 6: rejected: not base64" in answer.out
    assert answer.out.endswith("2 accepted, 1 duplicate, 2 rejected, 1 processed, 1 failed, 0 dead\n")


def test_load_and_audit(instance: Instance) -> None:
    answer = instance("load", "--count", "400", "--accounts", "20", "--rate", "400")
    assert answer.code == 0, answer.err + answer.out
    report = instance.json("audit")
    assert report["ok"], report
    assert report["transactions"] >= 400


def test_a_load_outlives_its_redis(instance: Instance) -> None:
    """Redis is killed in the middle; it is started again with all it had, and nothing is lost or done twice."""
    assert instance.process is not None
    before = instance.json("status")["processed"]
    command = [PROGRAM, "load", "--count", "1500", "--accounts", "20", "--rate", "300", "--data", str(instance.folder)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as load:
        wait_until(lambda: instance.json("status")["processed"] > before + 300, "the load is under way")
        server = next(
            one for one in psutil.Process(instance.process.pid).children(recursive=True) if "redis" in one.name()
        )
        server.kill()
        printed, errors = load.communicate(timeout=90)
    assert load.returncode == 0, printed + errors
    assert "processed 1,500" in printed
    assert instance("status", "--wait", "30").code == 0
    assert instance.json("audit")["ok"]


def test_a_killed_worker_leaves_status_and_comes_back(instance: Instance) -> None:
    victim = next(worker for worker in instance.json("status")["workers"] if worker["name"].startswith("tx1@"))
    os.kill(victim["pid"], signal.SIGKILL)

    def workers() -> dict[str, int]:
        return {worker["name"]: worker["pid"] for worker in instance.json("status")["workers"]}

    wait_until(lambda: workers().get(victim["name"], victim["pid"]) != victim["pid"], "another tx1 consumes")


def test_a_second_instance_is_refused(instance: Instance) -> None:
    answer = instance("up")
    assert answer.code == 1
    assert "Another instance" in answer.err
    assert "--data" in answer.err
    assert instance("status", "--wait", "5").code == 0


def test_a_busy_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = Instance(tmp_path / "data")("up", "--flower-port", str(port))
    assert answer.code == 1
    assert f"Port {port}" in answer.err
    assert not (tmp_path / "data" / "instance.json").exists()


def test_init_without_an_instance(tmp_path: Path) -> None:
    quiet = Instance(tmp_path / "data")
    made = quiet("init")
    assert made.code == 0, made.err
    again = quiet("init")
    assert again.code == 0, again.err
    assert "is there already" in again.out
    assert not (quiet.folder / "lock").exists()
    # It is the same ledger, in the archive as well, and its faucet is the key that was written.
    assert ledger_id(again.out) == ledger_id(made.out)
    assert f"faucet {quiet.faucet().pubkey()} holds" in made.out
    genesis = json.loads(quiet("block", "show", "0", "--json").out)
    assert genesis["ledger_id"] == ledger_id(made.out)


def test_dead_letters(instance: Instance) -> None:
    transaction = verify(bytes(instance.signed(instance.faucet(), SOL)))
    signature, line = str(transaction.parsed.signatures[0]), base64.b64encode(transaction.raw).decode()
    settings = Settings(data_dir=instance.folder)
    # As a worker does in the end with what kills it each time; nobody enqueues it meanwhile.
    assert TransactionDeadLetters(open_ledger(settings)).add(
        transaction.signature, transaction.raw, "worker died while running it", 3
    )
    assert "worker died" in instance("deadletter", "list").out
    assert json.loads(instance("deadletter", "show", signature).out)["payload"] == line
    refused = instance("submit", "-", stdin=line)
    assert "in the dead letters" in refused.out
    before = instance.json("status")
    assert before["dead"] == 1

    assert instance("deadletter", "replay", signature).code == 0
    wait_until(lambda: instance.json("status")["processed"] > before["processed"], "the replayed one is processed")
    assert instance("deadletter", "list").out == "No dead letters.\n"
    assert instance("deadletter", "replay", signature).code == 1
    assert instance("deadletter", "drop", signature).code == 1
    assert instance.json("audit")["ok"]


def test_ctrl_c_leaves_nothing_and_the_state_survives(instance: Instance) -> None:
    """Last: it ends the module's instance and starts it again on the same folder."""
    before = instance.json("status")
    printed = instance.end()
    assert instance.process is not None
    assert instance.process.returncode == 0, printed
    assert "Ready: 2 transaction workers and 1 maintenance worker consume" in printed
    assert printed.endswith("Stopped.\n")
    assert not listening(before["flower_url"])
    assert not (instance.folder / "instance.json").exists()
    assert not (instance.folder / "lock").exists()
    assert not (instance.folder / "redis" / "redis.sock").exists()
    gone_now = instance("status")
    assert gone_now.code == 1
    assert "No running instance" in gone_now.err

    instance.start("--workers", "1", "--no-flower", "--redis-port", "0")
    after = instance.json("status")
    assert (after["ledger_id"], after["processed"], after["failed"]) == (
        before["ledger_id"],
        before["processed"],
        before["failed"],
    )
    assert after["redis_url"].startswith("redis://:")
    assert after["flower_url"] is None
    password = urlsplit(after["redis_url"]).password
    assert password
    assert password not in instance("status").out
    somebody = str(Keypair().pubkey())
    assert instance("airdrop", somebody, str(SOL)).code == 0
    assert instance("balance", somebody).out == f"{SOL} lamports\n"
    assert instance.json("audit")["ok"]
    assert password not in instance.end(signal.SIGTERM)
