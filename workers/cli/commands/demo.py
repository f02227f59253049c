"""`demo`: the whole pipeline for a minute, with one of its workers killed on the way."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console

from banking.audit.audit import AuditReport, audit
from banking.from_settings import open_blocks
from banking.ledger.ledger import Ledger, State
from config.addresses import masked
from config.settings import get_settings, override_environment
from workers.cli.base import StartingCommand
from workers.cli.commands.audit import audit_lines
from workers.cli.connection import open_ledger, open_registry, open_submitter
from workers.cli.display import LoadDisplay, summary
from workers.cli.errors import CommandFailed
from workers.cli.readiness import Readiness
from workers.cli.root import trunkline
from workers.cli.worker_count import WorkerCount
from workers.faucet import initialise, read_faucet
from workers.loadgen.generator import LoadGenerator, LoadOrder
from workers.loadgen.report import LoadReport
from workers.supervisor.launcher import Launcher
from workers.supervisor.stop_signals import StopSignals

#: Seconds that processes may take to start on a busy machine.
_BOOT_SECONDS = 60.0


@trunkline.command(cls=StartingCommand)
@click.option("--count", type=click.IntRange(2), default=20_000, show_default=True, help="Transfers to submit.")
@click.option("--accounts", type=click.IntRange(2), default=1_000, show_default=True, help="Accounts among them.")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Transaction workers.")
def demo(count: int, accounts: int, workers: int) -> None:
    """Run the whole pipeline for a minute, and kill a worker half-way.

    Everything happens in a temporary folder, on an embedded Redis, and is gone at the end; with --data DIR the
    ledger is kept there.
    """
    started = time.monotonic()
    console = Console()
    with _folder(console):
        _be_a_sandbox()
        _Demo(console, LoadOrder(count, accounts), workers).run()
        passed = time.monotonic() - started
    console.print(f"\nAll held, in {passed:.0f} s. What you may type next:\n", highlight=False)
    commands = _next_commands()
    width = max(len(command) for command, _ in commands)
    for command, meaning in commands:
        console.print(f"  {command:<{width}}  {meaning}", highlight=False, soft_wrap=True)


class _Demo:
    def __init__(self, console: Console, order: LoadOrder, workers: int) -> None:
        self._console = console
        self._order = order
        self._workers = workers
        self._settings = get_settings()
        self._killed_at: int | None = None
        self._launcher = Launcher(
            self._settings,
            workers=workers,
            prepare=lambda url: self._told_ledger(initialise(self._settings, url).created),
        )

    def run(self) -> None:
        """The demo from start to stop. Raises CommandFailed when a promise was broken."""
        self._say(f"Starting Redis, {self._workers} transaction workers, a maintenance worker, beat and Flower ...")
        with self._launcher.run():
            self._say(f"Redis   {masked(self._launcher.redis_url)}")
            self._say(f"Flower  {self._launcher.flower_url}")
            self._await_workers()
            problems = self._load()
            self._say("Stopping ...")
        if problems:
            raise CommandFailed("The demo failed: " + "; ".join(problems) + ".")

    def _await_workers(self) -> None:
        readiness = Readiness(self._settings, self._launcher.redis_url, transaction_workers=self._workers)
        deadline = time.monotonic() + _BOOT_SECONDS
        while not readiness.reached():
            if time.monotonic() > deadline:
                raise CommandFailed(
                    f"The workers did not come up within {_BOOT_SECONDS:g} s: {readiness.missing}. Run it with "
                    f"--data DIR to keep their logs, which lie in {self._launcher.log_folder.name}/ there."
                )
            time.sleep(0.1)
        self._say(f"Ready: {readiness.shown}.")

    def _load(self) -> list[str]:
        """Run the load and the audit, print both; what is wrong with them, in words."""
        # The settings that processes were started with know no URL; the instance's note has it.
        ledger = open_ledger()
        order = self._order
        generator = LoadGenerator(ledger, open_submitter(ledger), read_faucet(self._settings), order)
        self._say(f"Funding {order.accounts:,} accounts from the faucet ...")
        keypairs = generator.fund()
        before = ledger.state()
        self._say(f"Submitting {order.count:,} signed transfers ...")
        with LoadDisplay(self._console, WorkerCount(open_registry(ledger), self._launcher.worker_pids)) as display:
            report = generator.run(keypairs, lambda seen: self._watch(display, seen))
        self._console.print(summary(report))
        audited = audit(ledger, open_blocks(self._settings))
        self._say("")
        for line in audit_lines(audited):
            self._say(line)
        return [*_broken(report, audited, before, ledger), *self._unkilled()]

    def _watch(self, display: LoadDisplay, report: LoadReport) -> None:
        display.tick(report)
        if self._killed_at is None and report.done * 2 >= report.total:
            pid = self._launcher.kill_worker(0)
            self._killed_at = report.done
            display.say(f"kill -9 {pid}: transaction worker tx1 is gone, after {report.done:,} outcomes")

    def _unkilled(self) -> list[str]:
        return [] if self._killed_at is not None else ["the load ended before a worker could be killed"]

    def _told_ledger(self, created: bool) -> None:
        name = self._settings.ledger.name
        self._say(f"Ledger {name!r} {'made, with a funded faucet' if created else 'found from before'}.")

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)


def _broken(report: LoadReport, audited: AuditReport, before: State, ledger: Ledger) -> list[str]:
    """Promises that were not kept."""
    problems = []
    if not report.complete:
        problems.append(
            f"of {report.total:,} transactions {report.processed + report.failed:,} have an outcome, "
            f"{report.rejected:,} were rejected, {report.dead:,} are dead letters, {report.missing:,} are missing"
        )
    after = ledger.state()
    outcomes = after.processed + after.failed - before.processed - before.failed
    if outcomes != report.total:
        problems.append(f"the ledger counted {outcomes:,} outcomes for {report.total:,} transactions")
    if not audited.ok:
        problems.append("the audit does not hold")
    return problems


def _be_a_sandbox() -> None:
    """Leave alone what somebody named for real work: servers, archives, keys and ledgers."""
    for name in ("redis_url", "broker_url", "archive_url", "identity", "trusted_keys", "ledger"):
        os.environ.pop(f"TRUNKLINE_{name.upper()}", None)
    override_environment(profile="dev")


@contextmanager
def _folder(console: Console) -> Iterator[None]:
    """A temporary data folder, gone at the end however that comes, unless one was named."""
    if os.environ.get("TRUNKLINE_DATA_DIR"):
        yield
        console.print(f"The ledger is kept in {get_settings().data_dir}.", highlight=False, soft_wrap=True)
        return
    with StopSignals() as signals:
        folder = Path(tempfile.mkdtemp(prefix="trunkline-demo-"))
        try:
            override_environment(data_dir=folder)
            yield
        finally:
            signals.quiet()
            shutil.rmtree(folder)


def _next_commands() -> list[tuple[str, str]]:
    program = _program()
    return [
        (f"{program} up", "an instance that keeps its ledger, until Ctrl-C"),
        (f"{program} status", "(in another terminal) counters and workers"),
        (f"{program} airdrop PUBKEY 1SOL", "lamports from the faucet"),
        (f"{program} load --count 10000 --accounts 500", "load; watch it in Flower"),
        (f"{program} audit", "check every promise"),
    ]


def _program() -> str:
    """How this program was called, as short as it can be typed again."""
    called = Path(sys.argv[0])
    if shutil.which(called.name):
        return called.name
    try:
        return str(called.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(called)
