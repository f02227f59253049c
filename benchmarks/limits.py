"""The physical limit: what one core does of each part when it does nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from solders.hash import Hash
from solders.transaction import VersionedTransaction

from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage
from banking.transaction import verify
from benchmarks.accounting import cpu_seconds
from benchmarks.harness import bench, summary
from benchmarks.producer import Transfers

_COUNT, _TURNS, _BATCH = 4_000, 5, 64


def run() -> dict[str, Any]:
    """Microseconds of CPU a transaction."""
    with bench(unsealed_limit=10**9) as it:
        it.make_ledger(1_000)
        transfers, stage = Transfers(1_000), BankingStage(it.ledger, SvmExecutor())
        blockhash = Hash.from_bytes(it.ledger.state().blockhash)
        found: dict[str, list[float]] = {name: [] for name in ("sign", "check", "verify", "worker", "redis")}
        for _ in range(_TURNS):
            raws: list[bytes] = []
            found["sign"].append(_us(lambda raws=raws: raws.extend(transfers.make(_COUNT, blockhash))))  # type: ignore[misc]
            found["check"].append(_us(lambda raws=raws: _check(raws)))  # type: ignore[misc]
            found["verify"].append(_us(lambda raws=raws: [verify(raw) for raw in raws]))  # type: ignore[misc]
            signed = [verify(raw) for raw in raws]
            batches = [signed[first : first + _BATCH] for first in range(0, _COUNT, _BATCH)]
            before = _redis(it.server.pid)
            found["worker"].append(_us(lambda batches=batches: [stage.process(batch) for batch in batches]))  # type: ignore[misc]
            found["redis"].append((_redis(it.server.pid) - before) / _COUNT * 1e6)
    return {
        "sign_us": summary(found["sign"]),
        "signature_check_us": summary(found["check"]),
        "verify_us": summary(found["verify"]),
        "load_execute_commit_us": summary(found["worker"]),
        "load_and_commit_scripts_us": summary(found["redis"]),
    }


def _check(raws: Sequence[bytes]) -> None:
    for raw in raws:
        VersionedTransaction.from_bytes(raw).verify_and_hash_message()


def _redis(pid: int | None) -> float:
    assert pid is not None
    return cpu_seconds({"redis": [pid]})["redis"]


def _us(action: Callable[[], Any]) -> float:
    began = time.process_time()
    action()
    return (time.process_time() - began) / _COUNT * 1e6
