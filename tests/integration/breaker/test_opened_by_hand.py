"""`trunkline breaker open` under load: every submit is accepted meanwhile, and all of it is processed afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter

import pytest

from banking.transaction import SignedTransaction
from tests.support.paths import ROOT
from tests.support.pipelines import MakePipeline, Pipeline

pytestmark = pytest.mark.processes

_PER_SECOND = 150


def open_breaker(pipeline: Pipeline, seconds: float) -> None:
    """As an operator does it, on a breaker that has never tripped."""
    subprocess.run(
        [
            sys.executable, "-m", "workers.cli.program", "breaker", "open", "transaction",
            "--for", f"{seconds:g}s", "--reason", "drill",
        ],
        cwd=ROOT,
        env={**os.environ, "TRUNKLINE_REDIS_URL": pipeline.settings.redis.url},
        check=True,
    )  # fmt: skip


def submit_for(pipeline: Pipeline, seconds: float) -> tuple[Counter[str], list[SignedTransaction]]:
    """150 transfers a second for `seconds`; the verdicts, and what was submitted."""
    verdicts: Counter[str] = Counter()
    sent: list[SignedTransaction] = []
    payers, began = pipeline.faucet, time.monotonic()
    for tick in range(round(seconds * 10)):
        batch = pipeline.transfers(_PER_SECOND // 10, payers=[payers])
        verdicts.update(
            receipt.verdict for receipt in pipeline.submitter.submit([transaction.raw for transaction in batch])
        )
        sent += batch
        time.sleep(max(0.0, began + (tick + 1) / 10 - time.monotonic()))
    return verdicts, sent


def test_no_submit_is_rejected_and_all_are_processed(
    make_pipeline: MakePipeline, request: pytest.FixtureRequest
) -> None:
    # The rules are evaluated every second: whatever they would do, they do within the shorter time as well.
    seconds = 20.0 if request.config.getoption("--chaos") else 5.0
    pipeline = make_pipeline()
    pipeline.start(2)
    open_breaker(pipeline, seconds)
    before = pipeline.resolved()
    verdicts, sent = submit_for(pipeline, seconds - 2.0)
    assert pipeline.resolved() - before < len(sent), "the breaker was open all the time"
    assert verdicts == {"accepted": len(sent)}
    pipeline.assert_sound(sent)
    assert not pipeline.letters()
