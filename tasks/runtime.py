"""What a worker process holds while it lives: connections, the VM, the banking stage. Made at first use."""

from __future__ import annotations

import os
from functools import cached_property

from banking.blockstore import BlockStore
from banking.burial import Burial
from banking.executor import SvmExecutor
from banking.intake import Intake
from banking.ledger import Ledger
from banking.opening import open_blocks, open_ledger
from banking.processor import Processor
from banking.sealer import Sealer
from banking.stage import BankingStage
from config.settings import Settings, get_settings


class Runtime:
    """The parts of one process. Never shared over a fork: sockets and the VM would be."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pid = os.getpid()

    @cached_property
    def ledger(self) -> Ledger:
        return open_ledger(self.settings)

    @cached_property
    def blocks(self) -> BlockStore:
        return open_blocks(self.settings)

    @cached_property
    def sealer(self) -> Sealer:
        return Sealer(self.ledger, self.blocks)

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
