"""The pytest plugin: the fixture `trunkline_ledger`, a ledger for a test run and for each worker of pytest-xdist.

pytest loads it by its entry point in every project that has Trunkline installed, so it imports nothing of ours: the
names of our packages may be that project's own.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_BOOT_SECONDS = 120.0
_STOP_SECONDS = 60.0
_PORTS = range(20_000, 32_000, 2)


@dataclass(frozen=True, slots=True)
class TrunklineLedger:
    """A running instance: where its RPC server and websocket are, and its data folder (with `faucet.json`)."""

    rpc_url: str
    ws_url: str
    folder: Path

    def call(self, method: str, *params: Any) -> Any:
        """The result of an RPC method. Raises RuntimeError with the server's error, OSError."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.rpc_url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as reply:
            answer = json.load(reply)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]


@pytest.fixture(scope="session")
def trunkline_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrunklineLedger]:
    """A new ledger with an RPC server, started when first asked for and stopped at the end of the session."""
    folder = tmp_path_factory.mktemp("trunkline")
    port = _free_pair()
    program = str(Path(sysconfig.get_path("scripts")) / "trunkline")
    command = [program, "up", "--data", "data", "--workers", "1", "--no-flower", "--rpc-port", str(port)]
    # What is set for real work, servers and keys, is none of a test's business.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
    log = folder / "up.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        ledger = TrunklineLedger(f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port + 1}", folder / "data")
        _wait(process, ledger, log)
        yield ledger
    finally:
        _stop(process)


def _wait(process: subprocess.Popen[bytes], ledger: TrunklineLedger, log: Path) -> None:
    deadline = time.monotonic() + _BOOT_SECONDS
    while not ("Ready:" in log.read_text(errors="replace") and _healthy(ledger)):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"`trunkline up` did not come up:\n{log.read_text(errors='replace')}")
        time.sleep(0.1)


def _healthy(ledger: TrunklineLedger) -> bool:
    try:
        return bool(ledger.call("getHealth") == "ok")
    except (OSError, RuntimeError):
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_pair() -> int:
    """A port that is free together with the next one, which websockets get."""
    for port in random.sample(_PORTS, 100):
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no two free ports from {_PORTS[0]} on")
