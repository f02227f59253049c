"""A whole small instance for tests and benchmarks, of real processes: Redis, workers, beat, the RPC server."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from solders.keypair import Keypair

from banking.ledger.ledger import Ledger
from config.settings import Settings
from recovery.connections import connect
from tests.support.paths import ROOT
from tests.support.ports import free_port
from workers.faucet import initialise, read_faucet
from workers.supervisor.embedded_redis import EmbeddedRedis


@dataclass
class Stack:
    """A running instance. `url` and `ws_url` are what clients are given."""

    folder: Path
    redis: EmbeddedRedis
    faucet: Keypair
    http_port: int
    ws_port: int
    environment: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.ws_port}"

    @property
    def ledger(self) -> Ledger:
        return Ledger(connect(self.redis.url), "main")

    def start(self, name: str, *command: str) -> None:
        """Start a process of this instance; its output goes to `<name>.log`."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def stop(self, name: str, timeout: float = 10.0) -> None:
        """Ask one process to end, and kill it when it does not."""
        process = self.processes.pop(name)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start_rpc(self) -> None:
        self.start("rpc", "rpc")

    def start_workers(self) -> None:
        """One worker for transactions, one for maintenance, and beat."""
        for queue in ("transactions", "maintenance"):
            options = ("--pool", "solo", "--loglevel", "WARNING", "--without-gossip", "--without-mingle")
            self.start(queue, "celery", "-A", "workers.app", "worker", "-Q", queue, "-n", f"{queue}@stack", *options)
        self.start("beat", "celery", "-A", "workers.app", "beat", "--loglevel", "WARNING")

    def call(self, method: str, *params: Any, timeout: float = 10.0) -> Any:
        """The whole JSON-RPC answer."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.loads(answer.read())

    def wait_healthy(self, timeout: float = 60.0) -> None:
        """Wait until the server says that all is well. Raises TimeoutError with the end of its log."""
        deadline = time.monotonic() + timeout
        while True:
            with contextlib.suppress(OSError):
                if self.call("getHealth").get("result") == "ok" and self.call("getSlot")["result"] >= 2:
                    return
            if time.monotonic() > deadline:
                raise TimeoutError(f"The RPC server is not healthy. {self.log_tail('rpc')}")
            time.sleep(0.1)

    def log_tail(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-20:]) if path.exists() else ""

    def stop_all(self) -> None:
        for name in list(self.processes):
            self.stop(name)
        self.redis.stop()


def make_stack(folder: Path, **settings: object) -> Stack:
    """Redis and a new ledger in `folder`, with nothing else running yet."""
    folder.mkdir(parents=True, exist_ok=True)
    redis = EmbeddedRedis(folder / "redis")
    redis.start()
    known = Settings.from_variables(data_dir=folder, redis_url=redis.url)
    initialise(known, redis.url)
    http_port, ws_port = free_port(), free_port()
    values: dict[str, object] = {
        "data_dir": folder,
        "redis_url": redis.url,
        "rpc_port": http_port,
        "rpc_ws_port": ws_port,
        **settings,
    }
    environment = os.environ | {f"TRUNKLINE_{name.upper()}": str(value) for name, value in values.items()}
    return Stack(folder, redis, read_faucet(known), http_port, ws_port, environment)


@contextlib.contextmanager
def running_stack(folder: Path, **settings: object) -> Iterator[Stack]:
    """A whole instance that answers; ended at the end."""
    stack = make_stack(folder, **settings)
    try:
        stack.start_workers()
        stack.start_rpc()
        stack.wait_healthy()
        yield stack
    finally:
        stack.stop_all()
