"""A host that joins a running instance: its workers, kept running until they are stopped."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis
from kombu.exceptions import OperationalError

from banking.errors import LedgerUnavailable
from banking.from_settings import keeps_archive, open_ledger, read_blocks, trusted_keys
from banking.ledger.ledger import Ledger
from banking.ledger.worker_registry import WorkerRegistry, WorkerStatus
from banking.restore.attestation import standing
from config.addresses import masked, refusal
from config.app import app
from config.errors import ConfigurationError, TrunklineError
from config.settings import Settings
from workers.supervisor import commands
from workers.supervisor.instance_lock import InstanceLock
from workers.supervisor.launcher import WORKER_PATIENCE
from workers.supervisor.processes import Child
from workers.supervisor.stop_signals import StopSignals
from workers.supervisor.supervisor import Supervisor

#: Seconds for which the attestation of the archive's host is awaited: it comes every second while that host seals.
_ATTESTATION_PATIENCE = 10.0
_BROKER_TIMEOUT = 3


class NotJoined(TrunklineError):
    """Something that a joining host needs is missing; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the checks found. `signer` is the key (base58) of the believed attestation, None with an archive here."""

    ledger_id: str
    signer: str | None


def check(settings: Settings) -> Welcome:
    """Everything that this host needs, one after the other. Raises NotJoined, ConfigurationError."""
    ledger = open_ledger(settings)
    _check_redis(settings, ledger)
    _check_broker(settings)
    if keeps_archive(settings):
        return Welcome(_check_archive(settings, ledger), None)
    return _await_attestation(settings, ledger)


def _check_redis(settings: Settings, ledger: Ledger) -> None:
    where = masked(settings.ledger_url())
    try:
        # Not PING: a Redis on a full disk refuses that.
        ledger.server_ms()
        there = ledger.exists()
    except (redis.RedisError, LedgerUnavailable) as error:
        cause = error if isinstance(error, redis.RedisError) else error.__cause__ or error
        problem = refusal(cause) or (
            f"it does not answer this machine ({cause}); is it bound to an address that this machine reaches, and "
            "does a firewall let it through"
        )
        raise NotJoined(f"Redis at {where}: {problem}.") from error
    if not there:
        raise NotJoined(
            f"Redis at {where} has no ledger {settings.ledger.name!r}. Start its instance first (`trunkline up` on the "
            "host that has the archive), or name another ledger by --ledger."
        )


def _check_broker(settings: Settings) -> None:
    try:
        with app.connection_for_write(connect_timeout=_BROKER_TIMEOUT) as connection:
            connection.ensure_connection(max_retries=1, timeout=_BROKER_TIMEOUT)
    except (OperationalError, OSError) as error:
        raise NotJoined(
            f"The broker at {masked(settings.broker_url())} does not answer this machine: {error}. "
            "Say where it is by --broker; without it, it is the ledger's Redis."
        ) from error


def _check_archive(settings: Settings, ledger: Ledger) -> str:
    """That the archive is this ledger's, and signed by a key that this host believes."""
    where, mine = settings.archive_location(), ledger.state().ledger_id
    blocks = read_blocks(settings)
    newest = blocks.newest()
    if newest is None:
        raise NotJoined(
            f"The archive {where} has no ledger {settings.ledger.name!r}. Name the one that its sealer writes."
        )
    found = blocks.header(newest).ledger_id
    if found != mine:
        raise NotJoined(
            f"The archive {where} is that of ledger {found}, Redis serves {mine}: they do not belong together."
        )
    return mine


def _await_attestation(settings: Settings, ledger: Ledger) -> Welcome:
    deadline = time.monotonic() + _ATTESTATION_PATIENCE
    while True:
        found = standing(ledger, trusted_keys(settings))
        if not found.problem:
            return Welcome(ledger.state().ledger_id, found.signer)
        if time.monotonic() >= deadline:
            raise NotJoined(f"Not joined: {found.problem}.")
        time.sleep(0.25)


class JoinedHost:
    """The workers of this host. `maintenance` adds one that seals: for a host with the archive and the node's key."""

    def __init__(self, settings: Settings, *, workers: int, maintenance: bool = False) -> None:
        self._settings = settings
        self._folder = settings.data_dir.resolve()
        self._lock = InstanceLock(self._folder)
        self._signals = StopSignals()
        self._stopped = threading.Event()
        self._children: list[Child] = []
        # Hosts may be named alike, as copies of one image are.
        token = secrets.token_hex(3)
        self._commands = {f"tx{n}": commands.joined_worker(f"tx{n}-{token}") for n in range(1, workers + 1)}
        if maintenance:
            self._commands["maintenance"] = commands.joined_maintenance(f"maintenance-{token}")
        self._token = token
        self._registry = WorkerRegistry.of(open_ledger(settings))
        self.log_folder = self._folder / "log"

    @contextmanager
    def run(self) -> Iterator[None]:
        """Start the workers, and stop them at the end. A signal raises StopRequested inside. Main thread only."""
        with StopSignals() as signals:
            self._signals = signals
            supervisor = self._take_folder()
            supervisor.hurry = signals.hurry
            try:
                try:
                    for name, command in self._commands.items():
                        self._keep(supervisor, name, command)
                    supervisor.watch()
                    yield
                finally:
                    signals.quiet()
            finally:
                supervisor.quiesce()
                supervisor.retire(self._children, patience=WORKER_PATIENCE)
                supervisor.close()
                self._lock.release()

    def wait(self) -> None:
        """Block until a signal raises StopRequested."""
        while not self._stopped.wait(0.5):
            self._signals.check()

    def consuming(self, notify: Callable[[str], None], *, slow: float) -> bool:
        """Return True once all workers of this host consume; every `slow` seconds `notify` why they do not."""
        began = notified = time.monotonic()
        while True:
            mine = self._mine()
            if sum(not worker.waits for worker in mine) == len(self._commands):
                return True
            if time.monotonic() - notified >= slow:
                notified = time.monotonic()
                why = next((worker.waits for worker in mine if worker.waits), f"see the logs in {self.log_folder}")
                notify(f"Waiting for {notified - began:.0f} s: {why}")
            time.sleep(0.2)

    def _mine(self) -> list[WorkerStatus]:
        try:
            return [worker for worker in self._registry.live() if f"-{self._token}@" in worker.name]
        except redis.RedisError:
            return []

    def _take_folder(self) -> Supervisor:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire()
            self.log_folder.mkdir(exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"The data folder {self._folder} cannot be used: {error.strerror}.") from error
        return Supervisor(hold=[self._lock.fileno()], paths=[self._lock.path])

    def _keep(self, supervisor: Supervisor, name: str, command: list[str]) -> None:
        environment = commands.child_environment(self._settings, self._settings.ledger_url())
        if self._settings.log.file is None:
            environment["TRUNKLINE_LOG_FILE"] = str(self.log_folder / f"{name}.log")
        child = Child(name, command, log_folder=self.log_folder, environment=environment, cwd=commands.HOME)
        self._children.append(child)
        supervisor.keep(child)
