"""The instance under test: Redis, two transaction workers, a maintenance worker, beat, the RPC server, the clients."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis

from oracle import FolderSource, Source
from tests.chaos.harness.object_store import KEYS, ObjectStore
from tests.chaos.harness.processes import Keeper, Managed
from tests.chaos.harness.proxy import Network
from tests.chaos.harness.redis_server import RedisServer
from tests.support.paths import ROOT
from tests.support.ports import free_port

LEDGER = "main"
#: Workers, and what else talks to the ledger.
WORKERS = ("tx1", "tx2")
OTHERS = ("maintenance", "beat", "rpc")
_QUIET = ("--without-gossip", "--without-mingle", "--loglevel", "INFO")


class Instance:
    """Everything in `folder`, started as a user starts it, but each process reaches Redis by a link of its own."""

    def __init__(self, folder: Path, *, fsync: str = "everysec", archive: str = "folder") -> None:
        self.folder = folder
        self.data = folder / "data"
        self.archive = self.data / "archive" / "ledgers" / LEDGER
        folder.mkdir(parents=True)
        self.redis = RedisServer(folder / "redis", fsync)
        self.network = Network()
        self.keeper = Keeper()
        self.rpc_port = free_port()
        self.fault_file = folder / "archive-fault"
        self.shim = self._build_shim() if archive == "folder" else None
        self.store = ObjectStore() if archive == "s3" else None
        #: What a fault left to be done later: when (monotonic seconds), and what.
        self.later: list[tuple[float, Callable[[], object]]] = []

    # ---- life

    def start(self) -> None:
        """Return once it is healthy. Raises TimeoutError with the ends of the logs."""
        self.redis.start()
        for name in (*WORKERS, *OTHERS, "clients"):
            self.network.link(name, self.redis.port)
        self._make_ledger()
        for name in WORKERS:
            self.add_worker(name)
        self.add("maintenance", *self._worker("maintenance", "maintenance"), "--concurrency", "2")
        self.add("beat", "celery", "-A", "workers.app", "beat", "--loglevel", "INFO", "-s", str(self.folder / "beat"))
        self.add("rpc", "rpc")
        self.keeper.start()
        self.wait(self.healthy, 90.0, "the instance is healthy")

    def close(self) -> None:
        """End everything that was started here."""
        self.keeper.stop()
        self.network.close()
        self.redis.stop()
        if self.store is not None:
            self.store.close()

    def add_worker(self, name: str) -> Managed:
        """A transaction worker, which is started."""
        if name not in self.network.links:
            self.network.link(name, self.redis.port)
        return self.add(name, *self._worker(name, "transactions"))

    def add(self, name: str, *module: str) -> Managed:
        """Another process of the instance: `python -m ...`."""
        environment = self.environment(name)
        log = self.folder / f"{name}.log"
        process = Managed(name, [sys.executable, "-m", *module], environment, log, ROOT)
        process.start()
        self.keeper.processes[name] = process
        return process

    def environment(self, name: str) -> dict[str, str]:
        """What a process is told, by environment variables only."""
        values: dict[str, Any] = {
            "DATA_DIR": self.data, "LEDGER": LEDGER, "REDIS_URL": self.url(name), "VISIBILITY_TIMEOUT": 5,
            "CHECKPOINT_INTERVAL": 5, "RPC_PORT": self.rpc_port, "RPC_WS_PORT": self.rpc_port + 1,
        }  # fmt: skip
        environment = {f"TRUNKLINE_{key}": str(value) for key, value in values.items()}
        if self.store is not None:
            environment |= {"TRUNKLINE_ARCHIVE_URL": self.store.url, **KEYS}
        if self.shim is not None:
            environment |= {
                "LD_PRELOAD": str(self.shim),
                "CHAOS_FAULT": str(self.fault_file),
                "CHAOS_FOLDER": str(self.data / "archive"),
            }
        return environment

    def url(self, name: str) -> str:
        """How the process of this name reaches Redis."""
        return f"redis://127.0.0.1:{self.network.links[name].port}/0"

    def source(self) -> Source:
        """The ledger's part of the archive, for the checker."""
        return self.store.source(LEDGER) if self.store is not None else FolderSource(self.archive)

    def process(self, name: str) -> Managed:
        return self.keeper.processes[name]

    # ---- its state, seen from outside

    @property
    def client(self) -> redis.Redis:
        """Redis itself, by no link."""
        return self.redis.client

    def meta(self) -> dict[bytes, bytes]:
        found: Any = self.client.hgetall(f"tl:{{{LEDGER}}}:meta")
        return dict(found)

    def state(self) -> dict[bytes, bytes]:
        """The counters of the epoch that is served; nothing while none is."""
        epoch = self.meta().get(b"epoch", b"")
        if not epoch.isdigit():
            return {}
        found: Any = self.client.hgetall(f"tl:{{{LEDGER}}}:e{int(epoch)}:state")
        return dict(found)

    def healthy(self) -> bool:
        """Whether the RPC server says that all is well."""
        with suppress(OSError, ValueError):
            return bool(self.call("getHealth").get("result") == "ok")
        return False

    def call(self, method: str, *params: Any, timeout: float = 5.0) -> dict[str, Any]:
        """The whole JSON-RPC answer."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        where = f"http://127.0.0.1:{self.rpc_port}"
        request = urllib.request.Request(where, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`trunkline ...`, as an operator on this machine would."""
        environment = self.environment("clients") | {"TRUNKLINE_REDIS_URL": f"redis://127.0.0.1:{self.redis.port}/0"}
        environment.pop("LD_PRELOAD", None)
        return subprocess.run(
            [sys.executable, "-m", "workers.cli.program", *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def wait(self, condition: Callable[[], object], seconds: float, what: str) -> None:
        """Return once `condition()` holds; errors of Redis count as not yet. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while True:
            with suppress(redis.RedisError):
                if condition():
                    return
            if time.monotonic() > deadline:
                ends = "\n".join(f"--- {name}\n{one.tail()}" for name, one in self.keeper.processes.items())
                raise TimeoutError(f"not within {seconds:g} s: {what}\n{ends}")
            time.sleep(0.05)

    # ---- healing

    def ease_rules(self) -> None:
        """As an operator who knows that the disk is fine: a rule that flaps stays strict for ten minutes."""
        for component in ("transactions", "intake"):
            self.command("mode", "clear", component, "--rules", "--reason", "chaos")

    def heal(self) -> None:
        """Whatever faults left behind: everything runs, and nothing is in its way."""
        self.network.heal()
        self.fault_file.unlink(missing_ok=True)
        if self.store is not None:
            self.store.trouble = ""
        self.redis.signal(signal.SIGCONT)
        self.redis.start()
        self.client.config_set("maxmemory", 0)
        for process in list(self.keeper.processes.values()):
            process.extra = {}
            process.signal(signal.SIGCONT)
            process.start()

        self.do_what_is_due()

    def do_what_is_due(self, *, everything: bool = False) -> None:
        """What was put off, as far as its time has come."""
        due = [one for one in self.later if everything or one[0] <= time.monotonic()]
        self.later = [one for one in self.later if one not in due]
        for _, work in due:
            work()

    # ----

    def _worker(self, name: str, queue: str) -> list[str]:
        return ["celery", "-A", "workers.app", "worker", "-Q", queue, "-n", f"{name}@chaos", *_QUIET]

    def _make_ledger(self) -> None:
        done = self.command("init")
        if done.returncode:
            raise RuntimeError(f"trunkline init failed: {done.stdout}{done.stderr}")

    def _build_shim(self) -> Path | None:
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            return None
        library = self.folder / "faults.so"
        source = Path(__file__).with_name("archive_faults.c")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        return library
