"""What durability costs: restoring, checking, checkpointing, sealing.

Restores are from a full checkpoint after the whole data set of a real Redis was lost. A checkpoint's cost is that of
an incremental one after 1,000 accounts changed, against a full one. The rest runs on a pipeline with real workers.
"""

from __future__ import annotations

import json
import random
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from solders.account import Account
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from banking.admin.fork import write_genesis
from banking.blocks.sealer import Sealer
from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage
from banking.from_settings import open_blocks
from banking.ledger.records import lamports_of, pack_account
from banking.restore.ledger_recovery import LedgerRecovery
from banking.transaction import verify
from benchmarks.harness import SOL, Bench, bench, pay, rate, stop
from tasks.submission import Submitter

Result = TypeVar("Result")
_CHANGED = 1_000


def run(
    *, sizes: tuple[int, ...] = (10_000, 100_000, 1_000_000), transactions: int = 20_000, seconds: float = 10.0
) -> dict[str, Any]:
    """All measurements; times in seconds unless named otherwise. `sizes` are numbers of accounts."""
    restores = [_restore(size) for size in sizes]
    first, last = restores[0], restores[-1]
    growth = (last["restore_seconds"] / first["restore_seconds"]) / (last["accounts"] / first["accounts"])
    return {
        "restore": restores,
        "restore_growth_per_account": round(growth, 3),
        "throughput": _throughput(transactions),
        "finality": _finality(1_000, seconds),
        "goals": {
            "restore_seconds_1m": 10.0,
            "healthy_check_ms": 50.0,
            "incremental_share_of_full": 0.02,
            "throughput_with_sealing": 0.9,
            "finalized_p99_seconds": 1.0,
        },
    }


def _restore(count: int) -> dict[str, Any]:
    with bench(redis_timeout=60) as it:
        ledger_recovery = LedgerRecovery(it.ledger, open_blocks(it.settings))
        payers = [Keypair() for _ in range(_CHANGED)]
        accounts = _accounts(count, payers)
        write_genesis(ledger_recovery.blocks, accounts.items(), sum(map(lamports_of, accounts.values())))
        del accounts
        from_genesis, _ = _timed(ledger_recovery.ensure_consistent)
        full_seconds, full = _timed(lambda: ledger_recovery.create_checkpoint(full=True))
        _change(it, ledger_recovery, payers)
        incremental_seconds, incremental = _timed(ledger_recovery.create_checkpoint)
        it.client.flushall()
        restore_seconds, _ = _timed(ledger_recovery.ensure_consistent)
        checks = [_timed(ledger_recovery.check)[0] for _ in range(50)]
        return {
            "accounts": count,
            "restore_seconds": restore_seconds,
            "restore_from_genesis_seconds": from_genesis,
            "healthy_check_ms": round(statistics.median(checks) * 1000, 3),
            "full_checkpoint_seconds": full_seconds,
            "full_checkpoint_bytes": full.stored_bytes,
            "incremental_seconds": incremental_seconds,
            "incremental_bytes": incremental.stored_bytes,
            "incremental_share_of_full": round(incremental_seconds / full_seconds, 4),
        }


def _accounts(count: int, payers: list[Keypair]) -> dict[bytes, bytes]:
    """Random keys with random balances of a few SOL, in the order of the keys."""
    source = random.Random(1)
    keys = {bytes(payer.pubkey()) for payer in payers}
    while len(keys) < count:
        keys.add(source.randbytes(32))
    return {key: _record(SOL + source.randrange(SOL)) for key in sorted(keys)}


def _record(lamports: int) -> bytes:
    return pack_account(Account(lamports=lamports, data=b"", owner=Pubkey.default(), executable=False))


def _change(it: Bench, ledger_recovery: LedgerRecovery, payers: list[Keypair]) -> None:
    """1,000 accounts change, in real transactions."""
    stage = BankingStage(ledger_recovery.ledger, SvmExecutor())
    blockhash = Hash.from_bytes(ledger_recovery.ledger.state().blockhash)
    for first in range(0, len(payers), 64):
        some = payers[first : first + 64]
        stage.process([verify(bytes(pay(one, some[0].pubkey(), 1, blockhash))) for one in some])
    Sealer(ledger_recovery.ledger, ledger_recovery.blocks).seal()


def _throughput(count: int, turns: int = 3) -> dict[str, Any]:
    """Transactions a second with sealing and checkpoints, and without, in turn."""
    off, on = [], []
    size = 0.0
    for _ in range(turns):
        off.append(_one_throughput(count, sealing=False)[0])
        speed, size = _one_throughput(count, sealing=True)
        on.append(speed)
    ratios = [ours / bare for ours, bare in zip(on, off, strict=True)]
    return {
        "without_per_second": round(statistics.median(off)),
        "with_per_second": round(statistics.median(on)),
        "ratio": round(statistics.median(ratios), 3),
        "archive_bytes_per_transaction": round(size, 1),
    }


def _one_throughput(count: int, *, sealing: bool) -> tuple[float, float]:
    with bench(unsealed_limit=10**9) as it:
        it.make_ledger(1_000)
        it.worker("workers.app", "transactions", processes=1)
        if sealing:
            it.worker("workers.app", "maintenance", processes=1, extra=["-B"])
        submitter = Submitter(it.ledger, it.app(), it.settings)
        submitter.submit(it.transfers(500), wait="processed")
        raws, state = it.transfers(count), it.ledger.state()
        before = state.processed + state.failed
        sending = threading.Thread(target=submitter.submit, args=(raws,))
        sending.start()
        ledger = it.ledger
        speed = rate(lambda: ledger.state().processed + ledger.state().failed - before, count)
        sending.join()
        blocks = it.folder / "data" / "archive" / "ledgers" / it.settings.ledger.name / "blocks"
        if not sealing:
            return speed, 0.0
        _wait_final(it)
        state = ledger.state()
        return speed, _size(blocks) / (state.processed + state.failed)


def _wait_final(it: Bench) -> None:
    deadline = time.monotonic() + 60
    ledger = it.ledger
    while (state := ledger.state()).finalized_seq < state.seq:
        if time.monotonic() > deadline:
            raise TimeoutError("the last transactions did not become final")
        time.sleep(0.05)


def _size(folder: Path) -> int:
    """Bytes of all blocks but the genesis, which holds programs."""
    return sum(path.stat().st_size for path in folder.rglob("*.block") if path.stem != f"{0:012d}")


def _finality(per_second: int, seconds: float) -> dict[str, Any]:
    """Seconds from accepted to finalized at a steady load, in steps of 20 transactions."""
    with bench() as it:
        it.make_ledger(1_000)
        workers = [it.worker("workers.app", "transactions", processes=1)]
        workers.append(it.worker("workers.app", "maintenance", processes=1, extra=["-B"]))
        submitter = Submitter(it.ledger, it.app(), it.settings)
        submitter.submit(it.transfers(200), wait="finalized")
        raws = it.transfers(int(per_second * seconds))
        waits: list[float] = []
        watching = threading.Thread(target=_watch, args=(it, len(raws), sent := [], waits))
        watching.start()
        step, began = 20, time.monotonic()
        for number in range(0, len(raws), step):
            time.sleep(max(0.0, began + number / per_second - time.monotonic()))
            receipts = submitter.submit(raws[number : number + step])
            sent.append((time.monotonic(), [receipt.signature for receipt in receipts]))
        reached = len(raws) / (time.monotonic() - began)
        watching.join()
        for worker in workers:
            stop(worker)
        ordered = sorted(waits)
        return {
            "offered_per_second": per_second,
            "reached_per_second": round(reached),
            "transactions": len(ordered),
            "p50_seconds": round(ordered[len(ordered) // 2], 3),
            "p99_seconds": round(ordered[int(len(ordered) * 0.99)], 3),
        }


def _watch(it: Bench, count: int, sent: list[tuple[float, list[str]]], waits: list[float]) -> None:
    """Note for every step when its last transaction became final."""
    from solders.signature import Signature

    ledger, at = it.ledger, 0
    deadline = time.monotonic() + 120
    while len(waits) < count and time.monotonic() < deadline:
        time.sleep(0.005)
        while at < len(sent):
            accepted, names = sent[at]
            pairs = ledger.settled([bytes(Signature.from_string(name)) for name in names])
            if not all(pair and pair[1] for pair in pairs):
                break
            waits += [time.monotonic() - accepted] * len(names)
            at += 1


def _timed(action: Callable[[], Result]) -> tuple[float, Result]:
    start = time.perf_counter()
    result = action()
    return round(time.perf_counter() - start, 4), result


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
