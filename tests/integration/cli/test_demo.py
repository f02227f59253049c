"""The demo in small: it keeps its promises, and cleans up however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from solders.keypair import Keypair

from tests.support.cli.program import PROGRAM, Instance, descendants, environment
from tests.support.cli.samples import samples, unlike
from tests.support.waiting import gone, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.real_redis]


def start_demo(folder: Path, *options: str) -> subprocess.Popen[str]:
    # Its temporary folder must be findable: it is made inside TMPDIR.
    return subprocess.Popen(
        [PROGRAM, "demo", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(TMPDIR=str(folder)),
        cwd=folder,
        start_new_session=True,
    )


def nothing_left(folder: Path) -> bool:
    """No process has its files in the folder, and there are none in it."""
    mine = [one for one in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(one.info["cmdline"] or ())]
    return not mine and list(folder.iterdir()) == []


@pytest.fixture
def folder() -> Iterator[Path]:
    # Short enough for a Unix socket.
    made = Path(tempfile.mkdtemp(prefix="tl-"))
    yield made
    shutil.rmtree(made)


def test_demo_holds_although_a_worker_is_killed(folder: Path) -> None:
    process = start_demo(folder, "--count", "2000", "--accounts", "100")
    printed, _ = process.communicate(timeout=90)
    assert process.returncode == 0, printed
    assert "kill -9" in printed
    assert "The audit holds: 2,005 transactions" in printed
    assert "processed 2,000" in printed
    assert "trunkline up" in printed.rpartition("All held")[2]
    assert unlike(samples()["demo"].lines, printed) == []
    wait_until(lambda: nothing_left(folder), "no process and no file is left")


def test_demo_cleans_up_on_ctrl_c(folder: Path) -> None:
    process = start_demo(folder, "--count", "200000", "--accounts", "100")
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("submitted"):
            break
    family = descendants(process.pid)
    # To the whole session's group, as a terminal does: the signing processes are in it as well.
    os.killpg(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130, "".join(lines) + rest
    assert "Interrupted." in rest
    assert "Traceback" not in rest
    wait_until(lambda: all(gone(pid) for pid in family), "its processes end")
    wait_until(lambda: nothing_left(folder), "no process and no file is left")


def test_demo_keeps_a_named_folder(folder: Path) -> None:
    data = folder / "kept"
    process = start_demo(folder, "--count", "100", "--accounts", "10", "--workers", "1", "--data", str(data))
    printed, _ = process.communicate(timeout=90)
    assert process.returncode == 0, printed
    assert str(data) in printed
    assert not (data / "instance.json").exists()
    # What was kept is the ledger, for the next `up` on that folder.
    again = Instance(data)
    again.start("--workers", "1", "--no-flower", "--no-rpc")
    try:
        assert again.json("status")["processed"] >= 100
        assert again.json("audit")["ok"]
        assert again("airdrop", str(Keypair().pubkey()), "1SOL").code == 0, "the faucet's key was kept, too"
    finally:
        again.end()
