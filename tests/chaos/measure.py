"""Single figures that a storm does not give: `python -m tests.chaos.measure [NAME ...]`, an instance for each.

`fifth-fails`: every fifth reply of Redis to the workers is lost, with its connection. `outage`: nobody reaches Redis
for a minute. `emptied`: Redis is emptied while the ledger has many accounts. `rolling`: every process but Redis is
replaced, one after the other, under load.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.harness.instance import OTHERS, WORKERS, Instance
from tests.chaos.harness.proxy import Rules
from tests.support.paths import ROOT

_LINKS = (*WORKERS, *OTHERS, "clients")
_BUCKET = 0.1


class Producer:
    """Submits transfers to new accounts, so many a second, and remembers when each was accepted and processed."""

    def __init__(self, instance: Instance) -> None:
        os.environ |= instance.environment("clients")
        os.environ.pop("LD_PRELOAD", None)
        # Only now: what is imported reads the environment.
        from tasks.submission import default_submitter
        from tests.chaos.clients.wallets import read_faucet

        self.submitter = default_submitter()
        self.faucet = read_faucet(instance.data / "faucet.json")
        self.accepted: dict[bytes, float] = {}
        self.processed: dict[bytes, float] = {}
        #: Calls that raised, and transactions that were not accepted.
        self.failed_calls = 0
        self.refused = 0

    def send(self, count: int) -> None:
        """One call, with so many; what is not accepted at once is left out."""
        from solders.keypair import Keypair
        from solders.signature import Signature

        from banking.errors import LedgerMissing, LedgerRestoring, LedgerUnavailable
        from tasks.submission import SubmissionFailed
        from tests.chaos.clients.python_client import blockhash_of
        from tests.chaos.clients.wallets import pay, signed

        try:
            blockhash = blockhash_of(self.submitter)
            steps = [pay(self.faucet.pubkey(), Keypair().pubkey(), 10**6 + number) for number in range(count)]
            receipts = self.submitter.submit([signed([step], [self.faucet], blockhash) for step in steps])
        except (SubmissionFailed, LedgerUnavailable, LedgerRestoring, LedgerMissing, OSError):
            self.failed_calls += 1
            return
        now = time.monotonic()
        for receipt in receipts:
            if receipt.accepted and receipt.signature:
                self.accepted[bytes(Signature.from_string(receipt.signature))] = now
            else:
                self.refused += 1

    def look(self, instance: Instance) -> None:
        """Note which have an outcome by now, asking Redis by no link."""
        state = instance.meta().get(b"epoch", b"")
        open_ = [one for one in self.accepted if one not in self.processed]
        if not open_ or not state.isdigit():
            return
        key = f"tl:{{main}}:e{int(state)}:status"
        for first in range(0, len(open_), 1000):
            part = open_[first : first + 1000]
            found: Any = instance.client.hmget(key, part)
            now = time.monotonic()
            self.processed |= {one: now for one, value in zip(part, found, strict=True) if value is not None}


def fifth_fails(instance: Instance) -> dict[str, Any]:
    """Share of what was accepted that is processed at all, and within 10 s, in 30 s with 20 % of the replies lost."""
    producer, stop = Producer(instance), threading.Event()
    for name in (*WORKERS, "maintenance"):
        instance.network.set(name, Rules(lost_share=0.2))

    def watch() -> None:
        while not stop.wait(0.05):
            producer.look(instance)

    watcher = threading.Thread(target=watch)
    watcher.start()
    end = time.monotonic() + 30
    while time.monotonic() < end:
        producer.send(20)
        time.sleep(0.3)
    instance.wait(lambda: len(producer.processed) == len(producer.accepted), 90, "all are processed")
    stop.set()
    watcher.join()
    waits = [producer.processed[one] - at for one, at in producer.accepted.items() if one in producer.processed]
    return {
        "accepted": len(producer.accepted),
        "processed": len(waits),
        "within_10_s": sum(wait <= 10 for wait in waits),
        "slowest_s": round(max(waits), 1),
    }


def outage(instance: Instance) -> dict[str, Any]:
    """What reaches Redis' address (pieces of requests, and connections) before, in, and after a minute without it."""
    producer, stop = Producer(instance), threading.Event()

    def load() -> None:
        while not stop.wait(0.2):
            producer.send(10)

    loading = threading.Thread(target=load, daemon=True)
    loading.start()
    time.sleep(3)
    before = _arrivals(instance, 15)
    for name in _LINKS:
        instance.network.set(name, Rules(refuse=True))
        instance.network.cut(name)
    during = _arrivals(instance, 60)
    instance.network.heal()
    after = _arrivals(instance, 30)
    stop.set()
    loading.join(20)
    mean = sum(before) / len(before)
    return {
        "normal_per_s": round(mean / _BUCKET, 1),
        "outage_ratio": round(sum(during) / len(during) / mean, 3),
        "burst_ratio": round(max(after) / max(mean, 1e-9), 2),
        "normal_burst_ratio": round(max(before) / mean, 2),
    }


def _arrivals(instance: Instance, seconds: float) -> list[int]:
    """Per 100 ms, what arrived at all links."""
    found, end = [], time.monotonic() + seconds
    last = instance.network.arrivals()
    while time.monotonic() < end:
        time.sleep(_BUCKET)
        now = instance.network.arrivals()
        found.append(now - last)
        last = now
    return found


def rolling(instance: Instance) -> dict[str, Any]:
    """At about 1,000 transactions a second every process is ended by SIGTERM and started again when it has ended.

    Seconds from a transaction's acceptance until it is processed, and what was refused or lost meanwhile.
    """
    producer, stop = Producer(instance), threading.Event()

    def load() -> None:
        while not stop.wait(max(0.0, due() - time.monotonic())):
            producer.send(_AT_ONCE)

    began, sends = time.monotonic(), itertools.count()

    def due() -> float:
        return began + next(sends) * _AT_ONCE / _RATE

    def watch() -> None:
        while not stop.wait(0.02):
            producer.look(instance)

    threads = [threading.Thread(target=load), threading.Thread(target=watch)]
    for thread in threads:
        thread.start()
    instance.wait(lambda: len(producer.processed) > 5 * _RATE, 60, "the load is on")
    for name in (*WORKERS, "maintenance", "beat", "rpc"):
        process = instance.process(name)
        before = process.log.read_bytes().count(_READY)
        process.end()
        process.start()
        if name in (*WORKERS, "maintenance"):
            instance.wait(lambda: process.log.read_bytes().count(_READY) > before, 60, f"{name} is back")  # noqa: B023
    instance.wait(instance.healthy, 60, "the RPC server is back")
    lasted = time.monotonic() - began
    sent = len(producer.accepted)
    stop.set()
    for thread in threads:
        thread.join()

    def done() -> bool:
        producer.look(instance)
        return len(producer.processed) == len(producer.accepted)

    instance.wait(done, 60, "all is processed")
    waits = sorted(producer.processed[one] - at for one, at in producer.accepted.items())
    state = instance.state()
    return {
        "per_s": round(sent / lasted),
        "accepted": len(waits),
        "failed_calls": producer.failed_calls,
        "refused": producer.refused,
        "outcomes_beyond_accepted": int(state[b"processed"]) + int(state[b"failed"]) - int(state[b"accepted"]),
        "p50_s": round(waits[len(waits) // 2], 3),
        "p99_s": round(waits[int(len(waits) * 0.99)], 3),
        "slowest_s": round(waits[-1], 2),
    }


#: Transactions a second, and in one call.
_RATE, _AT_ONCE = 1_000, 50
_READY = b" ready."


def emptied(instance: Instance) -> dict[str, Any]:
    """Seconds from FLUSHALL to the first transaction that is processed after it, with many accounts."""
    producer = Producer(instance)
    while len(producer.accepted) < _ACCOUNTS:
        producer.send(2_000)
        instance.wait(lambda: instance.client.hlen("tl:{main}:intake") < 4_000, 120, "the backlog is short")
    instance.wait(lambda: not instance.client.zcard("tl:{main}:queued"), 300, "all are processed")
    instance.wait(_sealed(instance), 60, "all is final")
    accounts = instance.client.hlen(f"tl:{{main}}:e{int(instance.meta()[b'epoch'])}:accounts")
    time.sleep(7)  # a checkpoint is due every 5 s
    producer.accepted.clear()
    began = time.monotonic()
    instance.client.flushall()
    while not producer.processed or not set(producer.processed) & set(producer.accepted):
        producer.send(1)
        producer.look(instance)
    return {"accounts": accounts, "processing_again_s": round(time.monotonic() - began, 2)}


_ACCOUNTS = 100_000


def _sealed(instance: Instance) -> Callable[[], bool]:
    def done() -> bool:
        state = instance.state()
        return state.get(b"seq") == state.get(b"finalized_seq")

    return done


MEASURES: dict[str, Callable[[Instance], dict[str, Any]]] = {
    "fifth-fails": fifth_fails,
    "outage": outage,
    "emptied": emptied,
    "rolling": rolling,
}


def measure(names: Sequence[str]) -> dict[str, Any]:
    """The figures, each from an instance and in a process of its own: a producer's settings are read once."""
    if len(names) == 1:
        return {names[0]: _measure_here(names[0])}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="trunkline-measures-") as folder:
        for name in names:
            file = Path(folder) / f"{name}.json"
            subprocess.run([sys.executable, "-m", "tests.chaos.measure", name, "--json", file], cwd=ROOT, check=True)
            found |= json.loads(file.read_text())
    return found


def _measure_here(name: str) -> Any:
    with tempfile.TemporaryDirectory(prefix="trunkline-measure-") as folder:
        instance = Instance(Path(folder) / "instance")
        try:
            instance.start()
            found = MEASURES[name](instance)
        finally:
            instance.close()
    print(name, found, flush=True)
    return found


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*MEASURES, []])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measure(options.names or list(MEASURES))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
