"""Workers that die in the middle of their work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from banking.transaction import SignedTransaction
from tests.support.pipelines import MakePipeline, Pipeline
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]


@contextmanager
def submitting(pipeline: Pipeline, transactions: Sequence[SignedTransaction]) -> Iterator[None]:
    """Submits all of them, and lets the test go on in the middle of it: workers keep pace with a single producer."""
    with ThreadPoolExecutor(1) as pool:
        submitted = pool.submit(pipeline.submit, transactions)
        wait_until(lambda: pipeline.resolved() > 100, "the first transactions are processed", interval=0.005)
        yield
        submitted.result()


@pytest.mark.parametrize("point", ["execute", "processor.committed"])
@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_kill_inside_a_batch_loses_and_doubles_nothing(
    make_pipeline: MakePipeline, tmp_path: Path, pool: str, point: str
) -> None:
    """SIGKILL before and after the commit: of a pool child (prefork), and of the worker with it (solo)."""
    pipeline = make_pipeline()
    transactions = pipeline.transfers(400)
    died = tmp_path / "died"
    name = f"execute.{transactions[200].parsed.signatures[0]}" if point == "execute" else point
    workers = pipeline.start(2, pool=pool, crash_points=f"{name}@{died}")
    pipeline.submit(transactions)
    pipeline.assert_sound(transactions)
    assert died.exists()
    assert sum(not worker.alive() for worker in workers) == (pool == "solo")
    assert pipeline.ledger.state().accepted == len(transactions)


def test_killed_worker_under_load_holds_nothing_back(make_pipeline: MakePipeline) -> None:
    """What it had fetched comes back by the sweeper, long before the broker's visibility timeout."""
    pipeline = make_pipeline(visibility_timeout=3600, batch_size=16)
    victim, other = pipeline.start(2)
    transactions = pipeline.transfers(3000)
    with submitting(pipeline, transactions):
        # Alone it falls behind, and stopped first, it dies with messages in hand.
        other.pause()
        wait_until(lambda: pipeline.client.llen("transactions") > 0, "more than one worker can take", interval=0.005)
        victim.pause()
        other.resume()
        held = pipeline.client.hlen("unacked")
        victim.kill()
        assert held > 0
        assert pipeline.resolved() < len(transactions)
    pipeline.assert_sound(transactions)
    # Nobody has restored the dead worker's messages: it was the sweeper.
    assert pipeline.client.hlen("unacked") > 0


def test_killed_pool_child_under_load(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline()
    workers = pipeline.start(2)
    transactions = pipeline.transfers(3000)
    with submitting(pipeline, transactions):
        for worker in workers:
            worker.children()[0].kill()
        assert pipeline.resolved() < len(transactions)
    pipeline.assert_sound(transactions)
    pipeline.assert_alive(workers)


def test_transaction_that_kills_its_pool_child_becomes_a_dead_letter(make_pipeline: MakePipeline) -> None:
    # Celery hands the message back; the sweeper, which counts as well, shall not take a busy machine for a loss.
    pipeline = make_pipeline(max_attempts=2, sweep_grace=30.0)
    transactions = pipeline.transfers(200)
    killer = transactions[70]
    worker, _ = pipeline.start(2, crash_points=f"execute.{killer.parsed.signatures[0]}")
    pipeline.submit(transactions)
    assert_only_the_killer_is_dead(pipeline, transactions, killer)
    assert worker.alive()


def test_transaction_that_kills_the_whole_worker_becomes_a_dead_letter(
    make_pipeline: MakePipeline,
) -> None:
    """Without a parent that hands the message back, the sweeper's count finds the killer."""
    pipeline = make_pipeline()
    transactions = pipeline.transfers(100)
    killer = transactions[10]
    point = f"execute.{killer.parsed.signatures[0]}"
    (worker,) = pipeline.start(1, pool="solo", crash_points=point)
    pipeline.submit(transactions)
    while not pipeline.letters():
        # Somebody restarts what died, as `trunkline up` or a container platform does.
        worker.wait_gone_or(lambda: bool(pipeline.letters()))
        if not worker.alive():
            worker = pipeline.start_worker(pool="solo", crash_points=point)
        assert len(pipeline.workers) < 10, pipeline.describe()
    assert_only_the_killer_is_dead(pipeline, transactions, killer)


def test_bare_message_that_kills_becomes_a_dead_letter_too(make_pipeline: MakePipeline) -> None:
    """It was never in intake; its redelivery puts it there."""
    pipeline = make_pipeline(max_attempts=1, sweep_grace=30.0)
    transactions = pipeline.transfers(20)
    killer = transactions[7]
    pipeline.start(1, crash_points=f"execute.{killer.parsed.signatures[0]}")
    pipeline.send_bare(transactions)
    assert_only_the_killer_is_dead(pipeline, transactions, killer)


def test_dead_letter_is_not_run_again_by_a_late_message(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline()
    transactions = pipeline.transfers(3)
    pipeline.dead_letters.add(transactions[0].signature, transactions[0].raw, "for the test", 1)
    pipeline.start(1)
    pipeline.send_bare(transactions)
    pipeline.assert_sound(transactions)
    assert [letter.id for letter in pipeline.letters()] == [transactions[0].signature]
    assert pipeline.ledger.outcomes([transactions[0].signature]) == [None]


def assert_only_the_killer_is_dead(
    pipeline: Pipeline, transactions: Sequence[SignedTransaction], killer: SignedTransaction
) -> None:
    pipeline.assert_sound(transactions)
    others = [transaction.signature for transaction in transactions if transaction is not killer]
    assert all(outcome and outcome.ok for outcome in pipeline.ledger.outcomes(others))
    (letter,) = pipeline.letters()
    assert (letter.id, letter.payload) == (killer.signature, killer.raw)
    assert letter.attempts == pipeline.settings.worker.max_attempts
    assert "while running it" in letter.reason
