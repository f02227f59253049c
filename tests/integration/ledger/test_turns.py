"""Batches that conflict often go one after the other; whoever holds the turn and dies holds nothing up."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import redis
from solders.keypair import Keypair

from banking.audit.audit import audit
from banking.execution.batch import BatchReport
from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage, OpenedBatch
from banking.intake.intake import Intake
from banking.ledger.ledger import Ledger
from banking.transaction import verify
from tests.support.ledgers import SOL, World, new_world
from tests.support.waiting import wait_until

pytestmark = pytest.mark.real_redis

_BATCH = 8


class Workers:
    """Two stages, as two workers have them, on one ledger whose transactions all are the faucet's."""

    def __init__(self, client: redis.Redis) -> None:
        self.client: Any = client
        self.world: World = new_world(client, programs=False)
        self.first, self.second = (BankingStage(Ledger(client, "test"), SvmExecutor()) for _ in range(2))
        self.intake = Intake(self.world.ledger)

    def batch(self, count: int = _BATCH) -> bytes:
        transfers = [self.world.transfer(self.world.faucet, Keypair().pubkey(), SOL) for _ in range(count)]
        return self.intake.accept_batch([verify(one.raw) for one in transfers]).batch

    def open(self, stage: BankingStage) -> OpenedBatch:
        opened = stage.open_batch(self.batch())
        assert opened is not None
        return opened

    def finish(self, stage: BankingStage, opened: OpenedBatch) -> BatchReport:
        report = stage.process(opened.transactions, opened=opened)
        assert len(report.committed) == len(opened.transactions)
        return report

    def run(self, stage: BankingStage) -> BatchReport:
        return self.finish(stage, self.open(stage))

    def conflict(self) -> None:
        """The second worker commits between a load and a commit of the first."""
        opened = self.open(self.first)
        self.run(self.second)
        assert self.finish(self.first, opened).conflicted == _BATCH

    def state(self, name: str) -> int:
        return int(self.client.hget(self.world.ledger.epoch_keys.state, name) or 0)

    def assert_sound(self) -> None:
        report = audit(self.world.ledger, self.world.blocks)
        assert report.ok, [check for check in report.checks if not check.ok]


@pytest.fixture
def workers(redis_client: redis.Redis) -> Workers:
    return Workers(redis_client)


def in_thread(work: Callable[[], Any], then: Callable[[Future[Any]], None]) -> None:
    """Begin `work` beside this thread, and call `then` meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        then(pool.submit(work))


def test_no_turns_without_conflicts(workers: Workers) -> None:
    for stage in (workers.first, workers.second) * 2:
        opened = workers.open(stage)
        assert opened.loaded.turn == b""
        assert workers.finish(stage, opened).conflicted == 0
    assert not workers.client.exists(workers.world.ledger.epoch_keys.turns)


def test_after_a_conflict_the_second_waits_for_the_first_to_commit(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("ledger", "turns"):
        # So that the first cannot seem lost, however busy the machine is.
        monkeypatch.setattr(f"banking.ledger.{module}.TURN_MS", 60_000)
    workers.conflict()
    opened = workers.open(workers.first)
    assert opened.loaded.turn

    def meanwhile(second: Future[OpenedBatch]) -> None:
        wait_until(lambda: workers.client.info("clients")["blocked_clients"] == 1, "the second waits for the turn")
        assert not second.done()
        assert workers.finish(workers.first, opened).conflicted == 0
        assert int(second.result().loaded.turn) > int(opened.loaded.turn)
        assert workers.finish(workers.second, second.result()).conflicted == 0

    in_thread(lambda: workers.open(workers.second), meanwhile)
    workers.assert_sound()


def test_killed_holder_of_the_turn_holds_nobody_up(workers: Workers) -> None:
    workers.conflict()
    killed = workers.open(workers.first)
    # Nobody hands it on, and still it comes.
    assert workers.run(workers.second).conflicted == 0
    newest = workers.state("turn")
    # It was only slow: its commit is judged by what it had read, and its old turn is worth nothing. Its second run
    # takes the next one and hands it on.
    report = workers.finish(workers.first, killed)
    assert report.conflicted == _BATCH
    assert workers.state("turn") == newest + 2
    workers.assert_sound()


def test_turn_is_free_for_whoever_comes_next(workers: Workers) -> None:
    workers.conflict()
    for stage in (workers.first, workers.first, workers.second, workers.first):
        assert workers.run(stage).conflicted == 0
    assert workers.client.llen(workers.world.ledger.epoch_keys.turns) == 1


def test_turns_end_when_nothing_conflicts_any_more(workers: Workers) -> None:
    workers.conflict()
    workers.client.hset(workers.world.ledger.epoch_keys.state, "heat", 2)
    for _ in range(2):
        workers.run(workers.first)
    opened = workers.open(workers.second)
    assert opened.loaded.turn == b""
    workers.run(workers.first)
    # ... and come back with the next conflict.
    assert workers.finish(workers.second, opened).conflicted == _BATCH
    assert workers.open(workers.second).loaded.turn


def test_clock_set_back_makes_a_turn_lost(workers: Workers) -> None:
    workers.conflict()
    workers.open(workers.first)
    workers.client.hset(workers.world.ledger.epoch_keys.state, "turn_at", 2**52)
    assert workers.run(workers.second).conflicted == 0


def test_few_conflicts_ask_for_no_turns(workers: Workers) -> None:
    people = workers.world.fund(2)
    shared = people[0]

    def mixed() -> bytes:
        own = workers.world.fund(2 * _BATCH)
        payers = [shared, *own]
        transfers = [workers.world.transfer(payer, Keypair().pubkey(), SOL) for payer in payers]
        return workers.intake.accept_batch([verify(one.raw) for one in transfers]).batch

    one, other = mixed(), mixed()
    opened = workers.first.open_batch(one)
    again = workers.second.open_batch(other)
    assert opened is not None
    assert again is not None
    workers.finish(workers.second, again)
    assert workers.finish(workers.first, opened).conflicted == 1
    assert workers.state("heat") == 0
