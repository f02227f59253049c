"""Every transaction from one payer, and four workers that get in each other's way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.pipelines import MakePipeline

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]


@pytest.mark.parametrize("batch_size", [64, 4])
def test_hot_account_makes_progress_without_starvation(
    make_pipeline: MakePipeline, record_property: Callable[[str, object], None], batch_size: int
) -> None:
    pipeline = make_pipeline(batch_size=batch_size)
    pipeline.start(2, extra=["-c", "2"])
    transactions = pipeline.transfers(1500, payers=[pipeline.faucet])
    pipeline.submit(transactions)
    seconds = pipeline.wait_settled(transactions)
    # Shown in the report of a run, never judged: the machine may be busy.
    record_property("transactions_per_second", round(len(transactions) / seconds))
    pipeline.assert_sound(transactions)
    # A conflict is nobody's fault: nothing failed by it, and nothing was given up.
    outcomes = pipeline.ledger.outcomes([transaction.signature for transaction in transactions])
    assert all(outcome and outcome.ok for outcome in outcomes)
    assert pipeline.ledger.state().processed == len(transactions)
