"""A new user's first hour, by the documents: the samples of docs/cli.md and the examples, on one real instance."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from solders.keypair import Keypair

from tests.support.cli.program import Instance
from tests.support.cli.samples import samples, unlike
from tests.support.paths import ROOT

pytestmark = [pytest.mark.processes, pytest.mark.real_redis]

WEB3 = "@solana/web3.js@1.98.4"
SAMPLES = samples()


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    running = Instance(tmp_path_factory.mktemp("documented") / "data")
    running.start()
    yield running
    if running.process is not None and running.process.poll() is None:
        running.end()


def test_all_samples_are_looked_at() -> None:
    """`demo` and `join` by tests of their own, `up` by the last one here."""
    here = {"status", "audit", "keygen", "airdrop", "transfer", "balance", "submit", "load", "up"}
    assert set(SAMPLES) == here | {"demo", "join"}


def test_keys_and_lamports(instance: Instance, tmp_path: Path) -> None:
    file = tmp_path / "k.json"
    made = instance("keygen", "--outfile", str(file))
    assert unlike(SAMPLES["keygen"].lines, made.err.replace(str(file), "k.json") + made.out) == []
    me = made.out.strip()
    for name in ("airdrop", "transfer", "balance"):
        words = [
            str(file) if word == "k.json" else me if word == SAMPLES["airdrop"].command[1] else word
            for word in SAMPLES[name].command
        ]
        answer = instance(*words)
        assert answer.code == 0, answer.err
        assert unlike(SAMPLES[name].lines, answer.out) == []
    # The sums are those of the sample: 5 SOL, less 0.001 SOL and the fee.
    assert instance("balance", me).out == SAMPLES["balance"].lines[0] + "\n"


def test_status_audit_and_load(instance: Instance) -> None:
    for name in ("load", "status", "audit"):
        command = [word if word != "2000" else "1000" for word in SAMPLES[name].command]
        answer = instance(*command)
        assert answer.code == 0, answer.err
        printed = answer.out
        if name == "load":
            # As many lines of progress as it took seconds.
            printed = re.sub(r"(?m)^submitted .*tx/s.*\n", "", printed)
            progress = [line for line in answer.out.splitlines() if "tx/s" in line]
            wanted = [line for line in SAMPLES[name].lines if "tx/s" in line]
            assert all(unlike(wanted[:1], line) == [] for line in progress)
            assert unlike([line for line in SAMPLES[name].lines if "tx/s" not in line], printed) == []
        else:
            assert unlike(SAMPLES[name].lines, printed) == []


def test_submit(instance: Instance, tmp_path: Path) -> None:
    good = base64.b64encode(bytes(instance.signed(instance.faucet(), 10**9))).decode()
    poor = base64.b64encode(bytes(instance.signed(Keypair(), 10**9))).decode()
    file = tmp_path / "transactions.txt"
    file.write_text(
        f"# a good one, a poor one, the good one again, nothing of the kind\n{good}\n{poor}\n{good}\ngarbage!\n"
    )
    answer = instance(*[str(file) if word == file.name else word for word in SAMPLES["submit"].command])
    assert answer.code == 1
    assert unlike(SAMPLES["submit"].lines, answer.out) == []


def finished(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What an example printed, by the first word of each line."""
    assert done.returncode == 0, done.stdout + done.stderr
    return {line.split()[0]: line for line in done.stdout.splitlines()}


def test_first_transaction_in_python(instance: Instance) -> None:
    url = instance.json("status")["rpc_url"]
    command = [sys.executable, "-m", "examples.first_transaction", url]
    look(instance, finished(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)))


def test_first_transaction_in_javascript(instance: Instance, tmp_path: Path) -> None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("there is no node and npm here")
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", WEB3]
    got = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    if got.returncode:
        pytest.skip(f"{WEB3} cannot be had: {got.stderr[-300:]}")
    shutil.copy(ROOT / "examples" / "first_transaction.mjs", tmp_path)
    command = [node, "first_transaction.mjs", instance.json("status")["rpc_url"]]
    look(
        instance,
        finished(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)),
    )


def look(instance: Instance, told: dict[str, str]) -> None:
    """What an example says is so: the ledger itself has it, and it is final."""
    assert re.fullmatch(r"final +in slot \d+", told["final"])
    assert instance.json("status")["finalized"] >= int(told["final"].split()[-1])
    for name, lamports in (("sender", 1_500_000_000 - 5000), ("receiver", 500_000_000)):
        key = told[name].split()[1]
        assert told[name].endswith(f"{key} has {lamports} lamports")
        assert instance("balance", key).out == f"{lamports} lamports\n"


def test_up(instance: Instance) -> None:
    """Last: it ends the instance."""
    printed = instance.end()
    assert unlike(SAMPLES["up"].lines, printed.replace("Stopping ...\nStopped.\n", "")) == []
