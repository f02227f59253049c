"""A storm and its judgement: `python -m tests.chaos [--seed N] [--minutes M] [--only KIND,...]` (`make chaos`).

Exit code 0 only without a violation. The history, the logs and the archive stay in `--folder` when there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.chaos.checker.judge import Verdict, judge
from tests.chaos.harness.instance import LEDGER, Instance
from tests.chaos.history import History, Row, read_histories
from tests.chaos.nemesis.all_kinds import KINDS
from tests.chaos.nemesis.probes import ProbeWatch
from tests.chaos.nemesis.schedule import cycles
from tests.chaos.nemesis.storm import Canary, NotRecovered, Storm

#: Seconds that what is left may take once everything is healed and nobody sends any more.
SETTLE_BOUND = 90.0


def main() -> int:
    """Returns the exit code."""
    options = _options()
    seeds = options.seed or [random.randrange(10**6)]
    kept = options.folder
    folder = kept or Path(tempfile.mkdtemp(prefix="trunkline-chaos-"))
    started = time.monotonic()
    # So that whoever is told to stop ends what it started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    instance = Instance(folder / "instance", fsync=options.fsync, archive=options.archive)
    try:
        instance.start()
        print(f"healthy after {time.monotonic() - started:.1f} s", flush=True)
        for seed in seeds:
            print(f"seed {seed}", flush=True)
            storm(instance, seed, options.minutes * 60 / len(seeds), _kinds(options.only))
        settle(instance, folder)
        rows = read_histories(sorted(folder.glob("history-*.jsonl")))
        verdict = judge(rows, instance.source(), instance.data / "identity.json", instance.client, LEDGER)
    finally:
        instance.close()
    _report(verdict, rows, seeds)
    if options.json:
        options.json.write_text(json.dumps(summary(verdict, rows, seeds, options), indent=1) + "\n")
    if kept is None:
        if verdict.violations:
            print(f"history, logs and archive: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return int(bool(verdict.violations))


def storm(instance: Instance, seed: int, seconds: float, only: list[str]) -> None:
    """Clients and nemesis, for so long."""
    folder = instance.folder.parent
    history = History(folder / f"history-nemesis-{seed}.jsonl")
    clients_file = folder / f"history-clients-{seed}.jsonl"
    clients = instance.add(
        "clients", "tests.chaos.clients", "--seed", str(seed), "--history", str(clients_file),
        "--rpc", f"http://127.0.0.1:{instance.rpc_port}", "--archive", str(instance.archive),
        "--faucet", str(instance.data / "faucet.json"),
    )  # fmt: skip
    instance.wait(lambda: clients_file.exists() and '"ready"' in clients_file.read_text(), 90, "the clients are ready")
    here = ("", "folder" if instance.store is None else "s3")
    kinds = {name: kind for name, kind in KINDS.items() if kind.archive in here and (not only or name in only)}
    nemesis = Storm(instance, history, make_canary(instance, seed, history), lambda text: print(text, flush=True))
    try:
        with ProbeWatch(instance.client, f"tl:{{{LEDGER}}}", history):
            nemesis.run(cycles(seed, kinds), time.monotonic() + seconds)
    except NotRecovered as error:
        print(error)
    finally:
        instance.keeper.processes.pop("clients")
        clients.end()
        history.close()


def make_canary(instance: Instance, seed: int, history: History) -> Canary:
    """A client of the nemesis' own, which reaches Redis by no link."""
    os.environ |= instance.environment("clients") | {
        "TRUNKLINE_REDIS_URL": f"redis://127.0.0.1:{instance.redis.port}/0"
    }
    os.environ.pop("LD_PRELOAD", None)
    # Only now: what is imported reads the environment.
    import threading

    from tests.chaos.clients.base import Surroundings
    from tests.chaos.clients.python_client import PythonClient, blockhash_of
    from tests.chaos.clients.wallets import pay, read_faucet, signed

    faucet_file = instance.data / "faucet.json"
    url = f"http://127.0.0.1:{instance.rpc_port}"
    around = Surroundings(seed, url, instance.archive, faucet_file, history, threading.Event())
    client = PythonClient("canary", around)
    faucet = read_faucet(faucet_file)

    def canary() -> bool:
        try:
            step = pay(faucet.pubkey(), client.wallets.hot, 10**6 + random.randrange(10**9))
            raw = signed([step], [faucet], blockhash_of(client.submitter))
            receipts = client.submit([("canary", raw)], "processed", 3.0)
        except Exception:  # noqa: BLE001 - whatever is wrong, it is not well yet
            return False
        return bool(receipts) and receipts[0].outcome is not None

    return canary


def settle(instance: Instance, folder: Path) -> None:
    """Return once nothing waits any more and all is final; else that is noted."""
    history = History(folder / "history-settle.jsonl")
    prefix = f"tl:{{{LEDGER}}}"
    began = time.monotonic()
    instance.do_what_is_due(everything=True)

    def left() -> dict[str, int]:
        state = instance.state()
        counts: dict[str, Any] = {"intake": instance.client.hlen(f"{prefix}:intake")}
        counts["batches"] = instance.client.hlen(f"{prefix}:batches")
        counts["queued"] = instance.client.zcard(f"{prefix}:queued")
        counts["parked"] = instance.client.zcard(f"{prefix}:parked")
        counts["unsealed"] = int(state[b"seq"]) - int(state[b"finalized_seq"]) if state else 1
        return {name: count for name, count in counts.items() if count}

    try:
        instance.wait(lambda: not left(), SETTLE_BOUND, "nothing is left")
        history.note("settled", seconds=round(time.monotonic() - began, 2))
    except TimeoutError as error:
        print(error)
        history.note("unsettled", left=left())
    # Nobody seals any more while it is judged.
    instance.keeper.stop()
    history.close()


def summary(verdict: Verdict, rows: list[Row], seeds: list[int], options: argparse.Namespace) -> dict[str, Any]:
    """The run in figures, for the report that is made of several."""
    from tests.chaos.figures import figures

    return figures(verdict, rows, seeds, f"{options.fsync}, {options.archive}")


def _report(verdict: Verdict, rows: list[Row], seeds: list[int]) -> None:
    faults = [row for row in rows if row["kind"] == "fault"]
    for violation in verdict.violations[:40]:
        print(f"VIOLATION {violation}")
    print(
        f"seeds {', '.join(map(str, seeds))}: {len(faults)} faults of {len({row['name'] for row in faults})} kinds, "
        f"{verdict.world.transactions} transactions executed again, {verdict.answers} answers and "
        f"{verdict.world.checkpoints} checkpoints judged, {len(verdict.violations)} violations"
    )


def _kinds(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    if unknown := [name for name in names if name not in KINDS]:
        raise SystemExit(f"no such fault: {', '.join(unknown)}; there are {', '.join(sorted(KINDS))}")
    return names


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, action="append", help="may be repeated; without it a random one")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--only", default="", help="names of faults, comma-separated")
    parser.add_argument("--archive", choices=["folder", "s3"], default="folder")
    parser.add_argument("--fsync", choices=["always", "everysec"], default="everysec")
    parser.add_argument("--folder", type=Path, help="keep everything in this new folder")
    parser.add_argument("--json", type=Path, help="write the run's figures to this file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
