"""What users do, on real workers that are killed and paused; then the oracle has its say."""

from __future__ import annotations

import os
import random
import time
from typing import Literal

import pytest

from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage
from config.sections import Fsync
from tasks.submission import SubmissionFailed
from tests.support.ledgers import SOL, World
from tests.support.oracle.doings import DOINGS
from tests.support.oracle.opinions import assert_agrees
from tests.support.oracle.program_doings import PROGRAM_DOINGS
from tests.support.oracle.town import Town
from tests.support.pipelines import MakePipeline, Pipeline, WorkerProcess
from tests.support.redis_servers import MakeRedis
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.real_redis, pytest.mark.processes, pytest.mark.timeout(600)]
SEED = int(os.environ.get("CHAOS_SEED", "0")) or int(time.time())
SECONDS = 60.0
ALL = {**DOINGS, **PROGRAM_DOINGS}


def town_of(pipeline: Pipeline) -> Town:
    stage = BankingStage(pipeline.ledger, SvmExecutor())
    world = World(pipeline.ledger, pipeline.blocks, pipeline.faucet, stage)
    return Town(world, [], people=pipeline.fund(4, 1_000 * SOL))


def strike(pipeline: Pipeline, workers: list[WorkerProcess], chance: random.Random) -> str:
    """Kill one of the transaction workers, or pause it for a while."""
    victim = chance.choice(workers)
    if chance.random() < 0.5:
        victim.pause()
        time.sleep(chance.uniform(0.1, 2.0))
        victim.resume()
        return "paused"
    victim.kill()
    workers.remove(victim)
    workers.append(pipeline.start_worker(pool="solo", ready=False))
    return "killed"


def test_what_users_do_on_workers_that_die(make_pipeline: MakePipeline, make_redis: MakeRedis) -> None:
    """Everything that became final is what one VM, alone, gets from it."""
    pipeline = make_pipeline(make_redis(fsync=Fsync.ALWAYS).url, checkpoint_interval=5.0)
    workers = pipeline.start(3, pool="solo")
    town, chance = town_of(pipeline), random.Random(SEED)
    began = last_strike = time.monotonic()
    sent = 0
    while time.monotonic() - began < SECONDS:
        doing = ALL[chance.choice(sorted(ALL))]
        batch = doing(town, chance.randrange(1_000), chance.randrange(1_000))
        try:
            wait: Literal["processed"] | None = "processed" if chance.random() < 0.5 else None
            pipeline.submitter.submit([transaction.raw for transaction in batch], wait=wait, timeout=5)
            sent += len(batch)
        except SubmissionFailed as error:
            print("client:", error)
        if time.monotonic() - last_strike > 4:
            print(f"{time.monotonic() - began:.0f} s", strike(pipeline, workers, chance), f"CHAOS_SEED={SEED}")
            last_strike = time.monotonic()
    keys = pipeline.ledger.keys
    wait_until(lambda: not pipeline.client.exists(keys.intake, keys.parked), "intake is empty", 120, interval=0.5)
    last = pipeline.ledger.state().seq
    wait_until(lambda: pipeline.ledger.state().finalized_seq >= last, "all is final", 60, interval=0.2)
    report = assert_agrees(pipeline.blocks)
    assert report.transactions > sent // 2, f"CHAOS_SEED={SEED}"
    print(report.lines()[-2])
