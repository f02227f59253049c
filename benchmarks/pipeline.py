"""The pipeline against bare Celery, in one run on one machine.

(a) bare Celery, one INCR a task; (b) the task `transactions.process`, one transaction a message; (c) the batch path,
from `submit()` to the outcome, signatures verified at both ends; (d) as (c), with one payer in every transaction and
four worker processes. The kinds take turns, and ratios are taken within a turn.
"""

from __future__ import annotations

import base64
import threading
import time
from typing import Any, cast

from benchmarks.bare import app as bare_app
from benchmarks.harness import HOT, Bench, bench, keypair, rate, stop, summary
from config.queues import PROCESS
from tasks.submission import Submitter

_PROCESSES = 2


def run(*, turns: int = 3, single: int = 4_000, batch: int = 30_000, hot: int = 10_000) -> dict[str, Any]:
    """Rates in transactions (or tasks) a second, and their ratios to (a)."""
    rows: dict[str, list[float]] = {"bare": [], "single": [], "batch": [], "hot": []}
    redis_us = []
    for _ in range(turns):
        rows["bare"].append(_bare(single))
        rows["single"].append(_single(single))
        speed, micros = _batch(batch)
        rows["batch"].append(speed)
        redis_us.append(micros)
        rows["hot"].append(_hot(hot))
    ratios = {
        name: summary([ours / bare for ours, bare in zip(rows[name], rows["bare"], strict=True)])
        for name in ("single", "batch", "hot")
    }
    return {
        "per_second": {name: summary(values) for name, values in rows.items()},
        "ratio_to_bare": ratios,
        "redis_microseconds_per_transaction": summary(redis_us),
        "goals": {"single": 0.9, "batch": 12.0},
    }


def _bare(count: int) -> float:
    with bench() as it:
        app = bare_app
        app.conf.update(broker_url=it.settings.celery_url())
        with app.connection_for_write() as connection:
            producer = app.amqp.Producer(connection)
            for _ in range(count):
                app.send_task("bare.incr", producer=producer)
        it.worker("benchmarks.bare", "bare", processes=_PROCESSES)
        return rate(lambda: int(cast(Any, it.client.get("bench:bare")) or 0), count)


def _outcomes(it: Bench) -> Any:
    ledger = it.ledger
    key = ledger.epoch_keys.state

    def done() -> int:
        processed, failed = cast(Any, it.client.hmget(key, "processed", "failed"))
        return int(processed) + int(failed)

    return done


def _single(count: int) -> float:
    with bench() as it:
        it.make_ledger(500)
        app, done = it.app(), _outcomes(it)
        before = done()
        with app.connection_for_write() as connection:
            producer = app.amqp.Producer(connection)
            for raw in it.transfers(count):
                app.send_task(PROCESS, args=(base64.b64encode(raw).decode(),), producer=producer)
        it.worker("workers.app", "transactions", processes=_PROCESSES)
        return rate(lambda: done() - before, count)


def _batch(count: int) -> tuple[float, float]:
    """Transactions a second from submit() to outcome, and microseconds of Redis for each."""
    with bench() as it:
        it.make_ledger(1_000)
        workers = [it.worker("workers.app", "transactions", processes=1) for _ in range(_PROCESSES)]
        done = _outcomes(it)
        submitter = Submitter(it.ledger, it.app(), it.settings)
        submitter.submit(it.transfers(2_000), wait="processed")
        raws, before = it.transfers(count), done()
        it.client.config_resetstat()
        sending = threading.Thread(target=submitter.submit, args=(raws,))
        started = time.monotonic()
        sending.start()
        rate(lambda: done() - before, count)
        elapsed = time.monotonic() - started
        sending.join()
        used = sum(command["usec"] for command in it.client.info("commandstats").values())
        for worker in workers:
            stop(worker)
        return count / elapsed, used / count


def _hot(count: int) -> float:
    """Every transaction from one payer, four worker processes."""
    with bench() as it:
        it.make_ledger(200)
        payer = keypair(HOT)
        it.worker("workers.app", "transactions", processes=4)
        it.worker("workers.app", "maintenance", processes=1, extra=["-B"])
        done = _outcomes(it)
        submitter = Submitter(it.ledger, it.app(), it.settings)
        submitter.submit(it.transfers(500), wait="processed")
        raws, before = it.transfers(count, payer=payer), done()
        started = time.monotonic()
        submitter.submit(raws)
        rate(lambda: done() - before, count)
        return count / (time.monotonic() - started)
