"""What a worker process holds while it lives: connections, the VM, the banking stage. Made at first use."""

from __future__ import annotations

import os
from functools import cached_property

from banking.burial import Burial
from banking.executor import SvmExecutor
from banking.intake import Intake
from banking.ledger import Ledger
from banking.processor import Processor
from banking.stage import BankingStage
from config.connections import ledger_client
from config.settings import Settings, get_settings


class Runtime:
    """The parts of one process. Never shared over a fork: sockets and the VM would be."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pid = os.getpid()

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(ledger_client(self.settings), self.settings.ledger)

    @cached_property
    def intake(self) -> Intake:
        return Intake(self.ledger, limit=self.settings.intake_limit)

    @cached_property
    def burial(self) -> Burial:
        return Burial(self.ledger)

    @cached_property
    def processor(self) -> Processor:
        stage = BankingStage(self.ledger, SvmExecutor(), conflict_rounds=self.settings.conflict_rounds)
        return Processor(stage, self.intake, self.burial, max_attempts=self.settings.max_attempts)


_runtime: Runtime | None = None


def runtime() -> Runtime:
    """This process's runtime; a forked child gets its own."""
    global _runtime
    if _runtime is None or _runtime.pid != os.getpid():
        _runtime = Runtime(get_settings())
    return _runtime


def set_runtime(replacement: Runtime | None) -> None:
    """Use `replacement` in this process (None: make a new one at the next use). For tests and embedders."""
    global _runtime
    _runtime = replacement
