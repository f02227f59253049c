"""What a worker process holds while it lives: connections, the VM, the banking stage. Made at first use."""

from __future__ import annotations

import os
from functools import cached_property

from banking.blocks.sealer import Sealer
from banking.blocks.store import BlockStore
from banking.execution.executor import SvmExecutor
from banking.execution.processor import Processor
from banking.execution.stage import BankingStage
from banking.from_settings import letter_limits, open_blocks, open_ledger
from banking.intake.dead_letters import TransactionDeadLetters
from banking.intake.intake import Intake
from banking.ledger.keys import key_prefix
from banking.ledger.ledger import Ledger
from banking.ledger.observing import breakers
from banking.ledger.pulse import PulseTaker
from banking.ledger.recovery_parts import retry_budget
from banking.restore.attestation import Attester
from banking.restore.ledger_recovery import LedgerRecovery
from config.app import app
from config.settings import Settings, get_settings
from recovery.breaker import CircuitBreaker, CircuitBreakerConfig
from recovery.breaker.predicates import is_failure
from recovery.degradation import DegradationManager
from recovery.retry.budget import RetryBudget
from recovery.retry.classification import is_retryable
from tasks.components import ModesComponent, OverridesComponent
from tasks.enqueue import request_seal
from tasks.events import send_breaker_event, send_mode_event
from tasks.metrics import Recorder, ServerClock, recorder
from tasks.modes import open_modes

TRANSACTION_BREAKER = "transaction"
TRANSACTION_BUDGET = "transactions"
#: A probe is a batch. One that has not come back by then is taken as lost, as when its worker was killed.
_TRANSACTION_RULES = CircuitBreakerConfig.preset("transaction", probe_lease=5.0)


class Runtime:
    """The parts of one process. Never shared over a fork: sockets and the VM would be."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pid = os.getpid()
        self._prefix = key_prefix(settings.ledger.name)

    # ---- the ledger

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
    def attester(self) -> Attester:
        return Attester(self.ledger, self.blocks.identity)

    @cached_property
    def ledger_recovery(self) -> LedgerRecovery:
        others = {
            "modes": ModesComponent(self.degradation),
            "overrides": OverridesComponent(lambda: breakers(self.ledger), self._breaker_named),
        }
        return LedgerRecovery(self.ledger, self.blocks, others=others)

    @cached_property
    def intake(self) -> Intake:
        return Intake(self.ledger, limit=self.settings.intake.limit, letters=letter_limits(self.settings))

    @cached_property
    def pulse(self) -> PulseTaker:
        return PulseTaker(self.ledger)

    @cached_property
    def dead_letters(self) -> TransactionDeadLetters:
        return TransactionDeadLetters(self.ledger, limits=letter_limits(self.settings))

    @cached_property
    def processor(self) -> Processor:
        stage = BankingStage(self.ledger, SvmExecutor(), conflict_rounds=self.settings.worker.conflict_rounds)
        return Processor(
            stage,
            self.intake,
            self.dead_letters,
            max_attempts=self.settings.worker.max_attempts,
            on_full=lambda: request_seal(app),
        )

    # ---- what is counted

    @cached_property
    def recorder(self) -> Recorder | None:
        """The counts of this process for Prometheus; None when nobody collects them."""
        return recorder(self.settings.metrics.folder)

    @cached_property
    def server_clock(self) -> ServerClock:
        return ServerClock(self.ledger.server_ms)

    # ---- what gates it

    @cached_property
    def degradation(self) -> DegradationManager:
        manager = open_modes(self.settings)
        manager.subscribe(send_mode_event)
        return manager

    @cached_property
    def breaker(self) -> CircuitBreaker:
        """The breaker `transaction`: counts only what a sick ledger causes, never what is wrong with a message."""
        return CircuitBreaker(
            TRANSACTION_BREAKER,
            _TRANSACTION_RULES,
            redis=self.settings.ledger_url(),
            namespace=self._prefix,
            failure=_is_outage,
            listeners=(send_breaker_event,),
        )

    def _breaker_named(self, name: str) -> CircuitBreaker:
        """A breaker by which to overrule `name`; overrides do not depend on its config."""
        if name == TRANSACTION_BREAKER:
            return self.breaker
        return CircuitBreaker(name, redis=self.settings.ledger_url(), namespace=self._prefix)

    @cached_property
    def budget(self) -> RetryBudget:
        return retry_budget(self.ledger, TRANSACTION_BUDGET)

    def may_process(self) -> bool:
        """Whether transactions may run now; answered from memory, at most 0.1 s old."""
        return self.degradation.is_operation_allowed("transactions", "WRITE") and self.breaker.ready()


def breaker_to_overrule(settings: Settings, name: str) -> CircuitBreaker:
    """The breaker `name` of the settings' ledger, for operators: overrides are stored whatever its config.

    Only the pipeline's own may not be in use yet, and then gets its config here.
    """
    config = _TRANSACTION_RULES if name == TRANSACTION_BREAKER else None
    return CircuitBreaker(name, config, redis=settings.ledger_url(), namespace=key_prefix(settings.ledger.name))


def _is_outage(error: BaseException) -> bool:
    return is_failure(error) and is_retryable(error)


_runtime: Runtime | None = None


def runtime() -> Runtime:
    """This process's runtime; a forked child gets its own."""
    global _runtime
    if _runtime is None or _runtime.pid != os.getpid():
        _runtime = Runtime(get_settings())
    return _runtime
