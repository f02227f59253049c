"""`submit`: transactions from a file or a pipe."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

import click

from banking.intake.intake import MAX_AT_ONCE
from tasks.receipts import Receipt, Verdict
from tasks.submission import Submitter
from workers.cli.connection import open_ledger, open_submitter
from workers.cli.errors import CommandFailed
from workers.cli.root import trunkline
from workers.loadgen.lines import transaction_lines
from workers.loadgen.tracking import OutcomeTracker, Resolved

_POLL_SECONDS = 0.05
#: Transactions that may wait for their outcome while further lines are read.
_MAX_OUTSTANDING = 20_000


@dataclass
class Tally:
    """What became of the lines."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    processed: int = 0
    failed: int = 0
    dead: int = 0


@trunkline.command()
@click.argument("file", type=click.File("rb"))
@click.option("--wait", is_flag=True, help="Wait for the outcomes.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="With --wait: the longest time without any outcome.",
)
def submit(file: BinaryIO, wait: bool, timeout: float) -> None:
    """Submit signed transactions: one a line in FILE (- is standard input), in base64 or base58.

    Blank lines and lines that begin with # are skipped. Prints a line for each transaction that was refused or
    failed, then a summary. Exit code 1 when there was any.
    """
    ledger = open_ledger()
    work = _Submission(open_submitter(ledger), OutcomeTracker(ledger) if wait else None, timeout)
    with _progress(file) as show:
        lines = transaction_lines(file)
        while chunk := list(islice(lines, MAX_AT_ONCE)):
            work.send(chunk)
            show(work.tally)
        work.finish(lambda: show(work.tally))
    work.summarise()


class _Submission:
    def __init__(self, submitter: Submitter, tracker: OutcomeTracker | None, timeout: float) -> None:
        self.tally = Tally()
        self._submitter = submitter
        self._tracker = tracker
        self._timeout = timeout

    def send(self, chunk: list[tuple[int, str]]) -> None:
        """Submit some lines, and tell of those that were refused."""
        receipts = self._submitter.submit([text for _, text in chunk])
        for (number, _), receipt in zip(chunk, receipts, strict=True):
            self._count(number, receipt)
        while self._tracker is not None:
            self._poll(self._tracker)
            if self._tracker.outstanding <= _MAX_OUTSTANDING or self._late(self._tracker):
                break
            time.sleep(_POLL_SECONDS)

    def finish(self, tick: Callable[[], None]) -> None:
        """Wait for what has no outcome yet."""
        tracker = self._tracker
        while tracker is not None and tracker.outstanding and not self._late(tracker):
            self._poll(tracker)
            tick()
            if tracker.outstanding:
                time.sleep(_POLL_SECONDS)

    def summarise(self) -> None:
        """Say what became of all lines. Raises CommandFailed when not all went well."""
        tally = self.tally
        parts = [f"{tally.accepted} accepted", f"{tally.duplicates} duplicate", f"{tally.rejected} rejected"]
        outstanding = 0
        if self._tracker is not None:
            outstanding = self._tracker.outstanding
            parts += [f"{tally.processed} processed", f"{tally.failed} failed", f"{tally.dead} dead"]
            parts += [f"{outstanding} without an outcome yet"] if outstanding else []
        click.echo(", ".join(parts))
        if outstanding:
            raise CommandFailed(
                f"Nothing moved for {self._timeout:g} s. What was accepted will get its outcome; "
                "`trunkline status` shows whether workers consume."
            )
        if tally.rejected or tally.failed or tally.dead:
            raise CommandFailed("")

    def _count(self, number: int, receipt: Receipt) -> None:
        match receipt.verdict:
            case Verdict.ACCEPTED:
                self.tally.accepted += 1
            case Verdict.DUPLICATE:
                self.tally.duplicates += 1
                click.echo(f"line {number}: duplicate {receipt.signature}: {receipt.reason}")
            case Verdict.REJECTED:
                self.tally.rejected += 1
                click.echo(f"line {number}: rejected: {receipt.reason}")
        if self._tracker is not None and receipt.verdict is not Verdict.REJECTED and receipt.signature:
            self._tracker.add(receipt.signature, number)

    def _poll(self, tracker: OutcomeTracker) -> None:
        for resolved in tracker.poll():
            self._report(resolved)

    def _report(self, resolved: Resolved) -> None:
        if resolved.refusal is not None:
            self.tally.failed += 1
            click.echo(f"line {resolved.tag}: refused without a fee {resolved.signature}: {resolved.refusal}")
        elif resolved.outcome is None:
            self.tally.dead += 1
            click.echo(f"line {resolved.tag}: dead letter {resolved.signature}: see `trunkline deadletter show`")
        elif resolved.outcome.ok:
            self.tally.processed += 1
        else:
            self.tally.failed += 1
            click.echo(f"line {resolved.tag}: failed {resolved.signature}: {resolved.outcome.err}")

    def _late(self, tracker: OutcomeTracker) -> bool:
        return tracker.stalled > self._timeout


@contextmanager
def _progress(file: BinaryIO) -> Iterator[Callable[[Tally], None]]:
    """A progress bar on standard error, by bytes read; only on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        size = _size(file)
        task = progress.add_task("reading", total=size)

        def show(tally: Tally) -> None:
            done = tally.processed + tally.failed + tally.dead
            progress.update(
                task,
                completed=file.tell() if size is not None else None,
                description=f"{tally.accepted:,} accepted, {tally.rejected:,} rejected, {done:,} done",
            )

        yield show


def _size(file: BinaryIO) -> int | None:
    """Bytes of a regular file, None for a pipe."""
    try:
        facts = os.fstat(file.fileno())
    except OSError:
        return None
    return facts.st_size if stat.S_ISREG(facts.st_mode) else None
