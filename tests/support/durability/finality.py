"""What is final stays so: shared by the tests of pipelines whose Redis or archive fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from banking.audit.audit import audit
from banking.transaction import SignedTransaction
from recovery.degradation import DegradationMode
from tasks.modes import open_modes
from tasks.receipts import Level
from tests.support.pipelines import Pipeline
from tests.support.waiting import wait_until


def finalize(pipeline: Pipeline, count: int) -> list[SignedTransaction]:
    """Transfers that are final."""
    transactions = pipeline.transfers(count)
    receipts = pipeline.submitter.submit(
        [transaction.raw for transaction in transactions], wait="finalized", timeout=60
    )
    assert {receipt.level for receipt in receipts} == {Level.FINALIZED}, pipeline.logs()
    return transactions


def assert_kept(pipeline: Pipeline, finals: list[SignedTransaction]) -> None:
    pipeline.ledger.forget_epoch()
    report = audit(pipeline.ledger, pipeline.blocks)
    assert [f"{check.id}: {check.detail}" for check in report.checks if not check.ok] == []
    assert None not in pipeline.ledger.outcomes([transaction.signature for transaction in finals])


def endure_archive_without_writes(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, shim: Path, armed: Path, fault: tuple[str, int]
) -> None:
    """No false "finalized", transactions stop after a while by the rules, and all goes on when the disk does."""
    for name, value in {
        "LD_PRELOAD": shim,
        "FAULT_CALL": fault[0],
        "FAULT_ERRNO": fault[1],
        "FAULT_PASS": 0,
        "FAULT_ARMED": armed,
        "FAULT_FOLDER": pipeline.folder / "data" / "archive",
        "FAULT_LOG": os.devnull,
    }.items():
        monkeypatch.setenv(name, str(value))
    pipeline.start(1)
    monkeypatch.delenv("LD_PRELOAD")
    finals = finalize(pipeline, 20)
    armed.touch()
    transactions = pipeline.transfers(20)
    receipts = pipeline.submitter.submit(
        [transaction.raw for transaction in transactions], wait="processed", timeout=30
    )
    assert {receipt.level for receipt in receipts} <= {Level.PROCESSED, Level.FINALIZED}
    modes = open_modes(pipeline.settings)
    wait_until(
        lambda: modes.get_component_mode("transactions") is DegradationMode.READ_ONLY, "READ_ONLY by the rules", 60
    )
    stuck = pipeline.ledger.state().finalized
    told = pipeline.submitter.wait_for(receipts, timeout=1, level="finalized")
    final = [receipt for receipt in told if receipt.level is Level.FINALIZED]
    assert all(pipeline.blocks.exists(receipt.slot or -1) for receipt in final)
    # After a failed fsync of the folder the name may be there; nobody was told that it is final.
    assert fault[0] == "folder-fsync" or not pipeline.blocks.exists(stuck + 1)
    armed.unlink()
    told = pipeline.submitter.wait_for(receipts, timeout=60, level="finalized")
    assert {receipt.level for receipt in told} == {Level.FINALIZED}, pipeline.logs()
    wait_until(lambda: modes.get_component_mode("transactions") is DegradationMode.NORMAL, "NORMAL by the rules", 60)
    assert_kept(pipeline, finals + transactions + finalize(pipeline, 20))
