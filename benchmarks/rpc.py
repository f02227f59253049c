"""The RPC server under load: reads, sends from acceptance to finality, a thousand subscribers, memory.

Everything shares the machine: Redis, one transaction worker, maintenance, beat, the server and the load generator.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from typing import Any

import psutil

from benchmarks.harness import ROOT, Bench, bench
from rpc.runner import listen

_RATES = (200, 1000, 3000)
_SECONDS = 5.0
_ACCOUNTS = 512
_SUBSCRIBERS = 1000


def run() -> dict[str, Any]:
    """Milliseconds, requests per second, MiB."""
    ports = free_ports()
    with bench(
        rpc_port=ports[0], rpc_ws_port=ports[1], rpc_in_flight=4096, rpc_rate_limit=0, rpc_write_limit=2**26
    ) as here:
        here.make_ledger(_ACCOUNTS)
        here.worker("workers.app", "transactions", processes=1)
        here.worker("workers.app", "maintenance", processes=1)
        here.process([sys.executable, "-m", "celery", "-A", "workers.app", "beat", "-l", "WARNING"], "beat")
        server = here.process([sys.executable, "-m", "rpc"], "rpc")
        _wait_healthy(ports[0])
        keys = [str(account.pubkey()) for account in here.accounts]
        result: dict[str, Any] = {"memory_mib": {"idle": _mib(server.pid)}}
        result["get_balance"] = {
            "1 connection": _load(here, kind="reads", port=ports[0], keys=keys, connections=1, seconds=3.0),
            "32 connections": _load(here, kind="reads", port=ports[0], keys=keys, connections=32, seconds=3.0),
        }
        secrets = [str(account) for account in here.accounts]
        result["send_transaction"] = [
            _load(here, kind="sends", port=ports[0], secrets=secrets, rate=rate, seconds=_SECONDS, preflight=preflight)
            for preflight in (True, False)
            for rate in _RATES
        ]
        result["memory_mib"]["after sends"] = _mib(server.pid)
        result["subscribers"] = _subscribers(ports[1], secrets, server.pid)
        result["memory_mib"]["with subscribers"] = result["subscribers"].pop("memory_mib")
    return result


def _load(here: Bench, **options: Any) -> Any:
    command = [sys.executable, "-m", "benchmarks.rpc_load", json.dumps(options)]
    done = subprocess.run(command, cwd=ROOT, env=here.environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def _subscribers(port: int, secrets: list[str], server: int) -> dict[str, Any]:
    options = {"kind": "subscribers", "port": port, "secrets": secrets, "count": _SUBSCRIBERS, "changes": 20}
    command = [sys.executable, "-m", "benchmarks.rpc_load", json.dumps(options)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        result: dict[str, Any] = json.loads(process.stdout.readline())
        result["memory_mib"] = _mib(server)
        process.communicate("done\n")
    return result


def _mib(pid: int) -> float:
    return round(psutil.Process(pid).memory_info().rss / 2**20, 1)


def free_ports() -> tuple[int, int]:
    sockets = [listen("127.0.0.1", 0) for _ in range(2)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports[0], ports[1]


def _wait_healthy(port: int) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"getHealth"}'
    request = urllib.request.Request(f"http://127.0.0.1:{port}", body, {"Content-Type": "application/json"})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(request, timeout=5) as answer:
            if b'"ok"' in answer.read():
                return
        time.sleep(0.2)
    raise TimeoutError("the RPC server is not healthy")


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
