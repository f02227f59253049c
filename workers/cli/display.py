"""Live progress on a terminal, plain lines now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from workers.loadgen.report import LoadReport, Speed

#: Seconds between two updates on a terminal, and between two lines elsewhere.
_LIVE_SECONDS = 0.1
_LINE_SECONDS = 2.0


class LoadDisplay(AbstractContextManager["LoadDisplay"]):
    """Shows a load as it runs: call `tick` as often as you like. `workers` counts those that consume."""

    def __init__(self, console: Console, workers: Callable[[], int]) -> None:
        self._console = console
        self._workers = workers
        self._speed = Speed()
        self._shown_at = float("-inf")
        self._ended = False
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """Print a line above the display."""
        self._console.print(text, highlight=False)

    def tick(self, report: LoadReport) -> None:
        """Show how far it is, unless that was done a moment ago."""
        now = time.monotonic()
        ended = report.done + report.rejected >= report.total
        if self._ended or (now - self._shown_at < (_LIVE_SECONDS if self._live else _LINE_SECONDS) and not ended):
            return
        self._ended = ended
        self._shown_at = now
        speed = self._speed.update(now, report.done)
        if self._live is not None:
            self._live.update(_table(report, speed, self._workers()), refresh=True)
        else:
            self._console.print(_line(report, speed, self._workers()), highlight=False, soft_wrap=True)


def _line(report: LoadReport, speed: float, workers: int) -> str:
    return (
        f"submitted {report.submitted:,}  processed {report.processed:,}  failed {report.failed:,}  "
        f"{speed:,.0f} tx/s  workers {workers}"
    )


def _table(report: LoadReport, speed: float, workers: int) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("submitted", "processed", "failed", "tx/s", "workers"):
        table.add_column(name, justify="right", min_width=10)
    table.add_column("", min_width=30)
    bar = ProgressBar(total=report.total, completed=report.done, width=30)
    cells = (report.submitted, report.processed, report.failed, round(speed), workers)
    table.add_row(*(f"{cell:,}" for cell in cells), bar)
    return table


def summary(report: LoadReport) -> Table:
    """The end of a load, for people."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right")

    def row(name: str, value: str) -> None:
        table.add_row(name, value)

    row("submitted", f"{report.submitted:,}")
    row("processed", f"{report.processed:,}")
    row("failed", f"{report.failed:,}")
    for name, count in (("rejected", report.rejected), ("dead letters", report.dead), ("missing", report.missing)):
        if count:
            row(name, f"{count:,}")
    row("seconds", f"{report.seconds:.1f}")
    row("transactions a second", f"{report.rate:,.0f}")
    for name, quantile in (("median", 0.5), ("99th percentile", 0.99), ("slowest", 1.0)):
        if (latency := report.latency(quantile)) is not None:
            row(f"submit to outcome, {name}", f"{latency * 1000:,.0f} ms")
    for reason, count in sorted(report.reasons.items()):
        row(f"  {reason}", f"{count:,}")
    return table
