"""The same faults beneath a whole pipeline: Celery workers, beat, load."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.receipts import Level
from tests.support.durability.finality import assert_kept, endure_archive_without_writes, finalize
from tests.support.pipelines import MakePipeline, Pipeline
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]


def healthy_at(pipeline: Pipeline, epoch: int) -> Callable[[], bool]:
    def check() -> bool:
        return bool(pipeline.client.hget(pipeline.ledger.keys.meta, "epoch") == str(epoch).encode())

    return check


def test_flushall_under_load(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(checkpoint_interval=1.0)
    pipeline.start(2)
    finals = finalize(pipeline, 200)
    late = pipeline.transfers(300)
    pipeline.submit(late)
    pipeline.client.flushall()
    wait_until(healthy_at(pipeline, 2), "the ledger is restored under epoch 2")
    # A client that was told "accepted" or "processed" submits again; what was final is known as a duplicate.
    receipts = pipeline.submitter.submit([transaction.raw for transaction in late], wait="finalized", timeout=60)
    assert {receipt.level for receipt in receipts} == {Level.FINALIZED}, pipeline.logs()
    finals += late + finalize(pipeline, 100)
    assert_kept(pipeline, finals)


@pytest.mark.parametrize("fault", [("write", errno.ENOSPC)])
def test_archive_that_takes_no_writes(
    make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch, shim: Path, tmp_path: Path, fault: tuple[str, int]
) -> None:
    endure_archive_without_writes(make_pipeline(), monkeypatch, shim, tmp_path / "armed", fault)


def test_worker_that_cannot_restore_does_not_consume_and_goes_on_when_it_can(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline()
    pipeline.start(1)
    finals = finalize(pipeline, 20)
    wait_until(lambda: (pipeline.blocks.newest() or 0) > 3, "a few blocks are sealed")
    for worker in pipeline.workers:
        worker.kill()
    path = pipeline.folder / "data" / "archive" / pipeline.blocks.name(2)
    good = path.read_bytes()
    path.unlink()
    pipeline.client.flushall()
    late = pipeline.start_worker(ready=False)
    wait_until(lambda: "takes no transactions" in late.output(), "the worker says why it does not consume")
    assert "slot 2" in late.output()
    assert " ready." not in late.output()
    path.write_bytes(good)
    path.chmod(0o600)
    late.wait_ready()
    assert_kept(pipeline, finals)
