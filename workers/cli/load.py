"""`load`: the load generator."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import click
import redis

from config import queues
from config.settings import get_settings
from workers.cli.base import Command
from workers.cli.connection import open_board, open_ledger, open_submitter
from workers.cli.errors import CommandFailed
from workers.cli.readiness import consumers
from workers.faucet import read_faucet
from workers.worker_registry import PresenceBoard

_COUNT_SECONDS = 0.5


@click.command(cls=Command)
@click.option("--count", metavar="N", type=click.IntRange(1), required=True, help="Transfers to submit.")
@click.option("--accounts", metavar="K", type=click.IntRange(2), required=True, help="Accounts to fund for them.")
@click.option(
    "--rate",
    metavar="R",
    type=click.FloatRange(min=0, min_open=True),
    help="Transfers a second [default: no limit].",
)
def load(count: int, accounts: int, rate: float | None) -> None:
    """Submit N signed transfers among K new accounts, and wait for every outcome.

    The accounts get their lamports from the faucet. Exit code 1 unless every transfer was processed.
    """
    from rich.console import Console

    from workers.cli.display import LoadDisplay, summary
    from workers.loadgen.generator import LoadGenerator, LoadOrder

    faucet = read_faucet(get_settings())
    ledger = open_ledger()
    console = Console()
    order = LoadOrder(count, accounts, rate)
    generator = LoadGenerator(ledger, open_submitter(ledger), faucet, order)
    console.print(f"Funding {accounts:,} accounts from the faucet ...", highlight=False)
    keypairs = generator.fund()
    with LoadDisplay(console, WorkerCount(open_board(ledger))) as display:
        report = generator.run(keypairs, display.tick)
    console.print(summary(report))
    if report.missing:
        raise CommandFailed(
            f"{report.missing:,} transactions have no outcome: nothing moved for a minute. "
            "`trunkline status` shows whether workers consume."
        )
    if report.processed != report.total:
        raise CommandFailed(f"{report.total - report.processed:,} transfers were not processed.")


class WorkerCount:
    """How many workers consume transactions; asked often, looked up now and then.

    `alive` knows better than the board which processes run: a killed one would stay on it for some seconds.
    """

    def __init__(self, board: PresenceBoard, alive: Callable[[], Sequence[int | None]] | None = None) -> None:
        self._board = board
        self._alive = alive
        self._at = float("-inf")
        self._count = 0

    def __call__(self) -> int:
        now = time.monotonic()
        if now - self._at >= _COUNT_SECONDS:
            self._count = self._look()
            self._at = now
        return self._count

    def _look(self) -> int:
        try:
            found = consumers(self._board.workers(), queues.TRANSACTIONS)
        except redis.RedisError:
            # Nobody can be seen; the load itself says what is wrong if it lasts.
            return 0
        pids = None if self._alive is None else set(self._alive())
        return sum(pids is None or worker.pid in pids for worker in found)
