"""Load, and again and again the worst: Redis emptied, rolled back or killed, workers killed, sealers racing."""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from pathlib import Path

import pytest

from banking.audit.audit import audit
from banking.transaction import SignedTransaction
from config.sections import Fsync
from tasks.receipts import Level
from tasks.submission import SubmissionFailed
from tests.support.oracle.opinions import assert_agrees
from tests.support.pipelines import MakePipeline, Pipeline
from tests.support.redis_servers import MakeRedis
from tests.support.waiting import wait_until
from workers.supervisor.embedded_redis import EmbeddedRedis

pytestmark = [pytest.mark.real_redis, pytest.mark.processes, pytest.mark.timeout(600)]
SEED = int(os.environ.get("CHAOS_SEED", "0")) or int(time.time())


def assert_kept(pipeline: Pipeline, finals: list[SignedTransaction]) -> None:
    """Every invariant, and everything that anybody was told to be final."""
    pipeline.ledger.forget_epoch()
    report = audit(pipeline.ledger, pipeline.blocks)
    assert [f"{check.id}: {check.detail}" for check in report.checks if not check.ok] == [], f"CHAOS_SEED={SEED}"
    assert_agrees(pipeline.blocks)
    archived = {entry.signature for block in pipeline.blocks.follow(0, None) for entry in block.entries}
    assert [transaction.signature for transaction in finals if transaction.signature not in archived] == [], (
        f"CHAOS_SEED={SEED}"
    )


def serves(pipeline: Pipeline) -> bool:
    value = pipeline.client.hget(pipeline.ledger.keys.meta, "epoch")
    return value is not None and value != b"restoring"


def test_twenty_workers_boot_at_once_on_a_lost_ledger_and_the_restorer_is_killed(
    make_pipeline: MakePipeline, tmp_path: Path
) -> None:
    """One new epoch is served in the end, and all consume."""
    pipeline = make_pipeline()
    pipeline.start(1)
    transactions = pipeline.transfers(200)
    pipeline.submitter.submit([transaction.raw for transaction in transactions], wait="finalized", timeout=60)
    for worker in pipeline.workers:
        worker.kill()
    pipeline.client.flushall()
    flag = tmp_path / "died"
    workers = [
        pipeline.start_worker(ready=False, pool="solo", crash_points=f"restore.loaded@{flag}") for _ in range(20)
    ]
    wait_until(flag.exists, "the first restorer is killed", 240)
    wait_until(lambda: sum(" ready." in one.output() for one in workers) == 19, "nineteen consume", 240, interval=0.5)
    assert sum(one.alive() for one in workers) == 19
    assert pipeline.client.hget(pipeline.ledger.keys.meta, "epoch") == b"3"
    pipeline.start_worker("maintenance", queues="maintenance", pool="solo", extra=["-B"])
    more = pipeline.transfers(200)
    receipts = pipeline.submitter.submit([transaction.raw for transaction in more], wait="finalized", timeout=120)
    assert {receipt.level for receipt in receipts} == {Level.FINALIZED}
    assert_kept(pipeline, transactions + more)


class Storm:
    """Does something terrible every few seconds, from a seed."""

    def __init__(self, pipeline: Pipeline, server: EmbeddedRedis, copies: Path) -> None:
        self._pipeline = pipeline
        self._server = server
        self._copy = copies / "copy"
        self._random = random.Random(SEED)

    def strike(self) -> str:
        what = self._random.choice([self.flush, self.copy_file, self.roll_back, self.crash, self.kill_worker])
        what()
        return what.__name__

    def flush(self) -> None:
        self._pipeline.client.flushall()

    def crash(self) -> None:
        self._server.kill()
        self._server.start()

    def copy_file(self) -> None:
        shutil.rmtree(self._copy, ignore_errors=True)
        self._server.stop()
        shutil.copytree(self._server.folder, self._copy, ignore=shutil.ignore_patterns("*.sock"))
        self._server.start()

    def roll_back(self) -> None:
        if not self._copy.exists():
            return
        self._server.kill()
        shutil.rmtree(self._server.folder)
        shutil.copytree(self._copy, self._server.folder)
        self._server.start()

    def kill_worker(self) -> None:
        worker = self._random.choice(self._pipeline.workers)
        worker.kill()
        self._pipeline.workers.remove(worker)
        maintenance = "maintenance" in " ".join(worker.log.read_text(errors="replace").splitlines()[:30])
        if maintenance:
            self._pipeline.start_worker("maintenance", queues="maintenance", pool="solo", extra=["-B"], ready=False)
        else:
            self._pipeline.start_worker(pool="solo", ready=False)


def test_storm(make_pipeline: MakePipeline, make_redis: MakeRedis, tmp_path: Path) -> None:
    """Twelve strikes under load; then all settles, and nothing that was said to be final is missing."""
    server = make_redis(fsync=Fsync.EVERYSEC)
    pipeline = make_pipeline(server.url, checkpoint_interval=2.0)
    pipeline.start(2, pool="solo")
    pipeline.start_worker("maintenance", queues="maintenance", pool="solo")
    finals: list[SignedTransaction] = []
    stop = threading.Event()

    def load() -> None:
        submitter = pipeline.submitter
        while not stop.is_set():
            try:
                transactions = pipeline.transfers(40)
                receipts = submitter.submit(
                    [transaction.raw for transaction in transactions], wait="finalized", timeout=10
                )
            except (SubmissionFailed, OSError, RuntimeError):
                time.sleep(0.2)
                continue
            finals.extend(w for w, r in zip(transactions, receipts, strict=True) if r.level is Level.FINALIZED)

    def forgiving() -> None:
        while not stop.is_set():
            try:
                load()
            except Exception as error:  # noqa: BLE001 - whatever a client sees in a storm, it goes on
                print("client:", error)
                time.sleep(0.2)

    client = threading.Thread(target=forgiving)
    client.start()
    storm = Storm(pipeline, server, tmp_path)
    try:
        for _ in range(12):
            print(f"{time.monotonic():.1f}", storm.strike(), f"CHAOS_SEED={SEED}")
            time.sleep(4)
        wait_until(lambda: serves(pipeline), "the ledger is served again", 120, interval=0.5)
    finally:
        stop.set()
        client.join(120)
    assert finals
    transactions = pipeline.transfers(20)
    receipts = pipeline.submitter.submit(
        [transaction.raw for transaction in transactions], wait="finalized", timeout=120
    )
    assert {receipt.level for receipt in receipts} == {Level.FINALIZED}, pipeline.logs()
    assert_kept(pipeline, finals + transactions)
