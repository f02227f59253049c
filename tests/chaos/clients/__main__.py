"""All clients of a storm in one process: `python -m tests.chaos.clients`. SIGTERM ends it, after its last calls."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from solders.keypair import Keypair

from tasks.submission import default_submitter
from tests.chaos.clients.base import Client, Surroundings
from tests.chaos.clients.program_client import ProgramClient
from tests.chaos.clients.python_client import CeleryClient, PythonClient, blockhash_of
from tests.chaos.clients.rpc_client import Reader, Web3Client
from tests.chaos.clients.wallets import read_faucet, shared_setup, signature_of
from tests.chaos.history import History


def make_clients(around: Surroundings, broker: str) -> list[Client]:
    """Two of a kind where they are to meet on the hot account."""
    senders: list[Client] = [PythonClient(f"python{number}", around) for number in range(2)]
    senders += [Web3Client(f"web{number}", around) for number in range(2)]
    senders += [CeleryClient("celery0", around, broker), ProgramClient("programs0", around)]
    return [*senders, Reader("reader0", around, senders)]


def set_up(clients: list[Client], around: Surroundings, faucet: Keypair) -> None:
    """Money for everybody. Raises RuntimeError when it does not arrive."""
    first = PythonClient("setup", around)
    blockhash = blockhash_of(default_submitter())
    for raws in (
        shared_setup(around.seed, faucet, blockhash),
        [raw for client in clients for raw in client.wallets.setup(faucet, blockhash)],
    ):
        receipts = first.submit([("setup", raw) for raw in raws], "finalized", 60.0)
        bad = [
            signature_of(raw) for raw, one in zip(raws, receipts, strict=True) if not (one.outcome and one.outcome.ok)
        ]
        if bad:
            raise RuntimeError(f"the clients did not get their money: {bad[:3]}, {receipts[:3]}")


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--history", type=Path, required=True)
    parser.add_argument("--rpc", required=True)
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--faucet", type=Path, required=True)
    options = parser.parse_args()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    history = History(options.history)
    around = Surroundings(options.seed, options.rpc, options.archive, options.faucet, history, stop)
    clients = make_clients(around, os.environ["TRUNKLINE_REDIS_URL"])
    set_up(clients, around, read_faucet(options.faucet))
    history.note("ready")
    threads = [threading.Thread(target=client.run, name=client.name, daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    stop.wait()
    for thread in threads:
        thread.join(30)
    history.note("stopped", open=[thread.name for thread in threads if thread.is_alive()])
    return 0


if __name__ == "__main__":
    sys.exit(main())
